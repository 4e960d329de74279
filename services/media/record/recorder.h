// The recorder of one path: a reader that makes parts of at most recordPartDuration out of samples and hands
// them to the disk's thread. Loop thread only.
#ifndef GTV_MEDIA_RECORD_RECORDER_H
#define GTV_MEDIA_RECORD_RECORDER_H

#include "services/media/record/disk.h"
#include "services/media/record/record.h"

struct gtv_recorder;

struct gtv_recorder *gtv_recorder_create(struct gtv_disk *disk, const struct gtv_pathconf *conf,
                                         struct gtv_counter *dropped);
void gtv_recorder_destroy(struct gtv_recorder *r); // what it has goes to the disk; NULL is accepted

// The path it reads; gtv_path_attach by the caller's hand, so that tests need no path.
struct gtv_reader *gtv_recorder_reader(struct gtv_recorder *r);
// Durations and sizes hold at once; another recordPath begins another file.
void gtv_recorder_configure(struct gtv_recorder *r, const struct gtv_pathconf *conf);
// Writes parts of sources that went quiet, sees what the disk said; the reader's own tick does it.
void gtv_recorder_tick(struct gtv_recorder *r, int64_t now_ms);
void gtv_recorder_get_status(const struct gtv_recorder *r, struct gtv_record_status *out);

#endif
