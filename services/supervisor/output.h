// What a child writes: passed on to our stderr, and kept in <folder>/<name>.log, which is rotated at 10 MiB
// with one old file kept. Passwords in URLs are taken out, whoever wrote them. Loop thread only.
#ifndef GTV_SUPERVISOR_OUTPUT_H
#define GTV_SUPERVISOR_OUTPUT_H

#include "lib/base/str.h"

struct output;

// A log file that cannot be opened costs a line on stderr, and the file only.
struct output *output_create(const char *folder, const char *name);
void output_destroy(struct output *o); // writes what is left of an unfinished line; NULL is accepted
void output_feed(struct output *o, const char *data, size_t n);
void output_flush(struct output *o); // the child ended: its unfinished line is complete

#endif
