// What the files of recording share.
#ifndef GTV_MEDIA_RECORD_INTERNAL_H
#define GTV_MEDIA_RECORD_INTERNAL_H

#include "lib/base/clock.h"
#include "services/media/record/disk.h"
#include "services/media/record/record.h"

struct gtv_record {
    struct gtv_log log;
    struct gtv_loop *loop;
    struct gtv_record_index *index;
    struct gtv_disk *disk;
    struct gtv_map *recorders; // by path; NULL once stopped
    struct gtv_counter *dropped;
};

#endif
