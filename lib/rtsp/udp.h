// The two UDP sockets of a track, RTP on the even port and RTCP on the next. Loop thread only.
#ifndef GTV_RTSP_UDP_H
#define GTV_RTSP_UDP_H

#include "lib/rtsp/link.h"

struct gtv_udp_pair;

// local: the address that the camera reaches us by; peer: only packets from its address (any port) are taken.
// NULL when no pair of ports is free.
struct gtv_udp_pair *gtv_udp_open(struct gtv_rtsp_hub *hub, const struct sockaddr_storage *local,
                                  const struct sockaddr_storage *peer,
                                  void (*on_packet)(void *arg, bool rtcp, struct gtv_str data), void *arg);
void gtv_udp_close(struct gtv_udp_pair *u);                        // no callback follows; NULL is accepted
int gtv_udp_port(const struct gtv_udp_pair *u);                    // the even one
void gtv_udp_set_ports(struct gtv_udp_pair *u, int rtp, int rtcp); // the camera's
// What is lost is lost.
void gtv_udp_send(struct gtv_udp_pair *u, bool rtcp, const void *data, size_t n);

#endif
