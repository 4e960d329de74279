#include "services/media/mux.h"

void gtv_mux_set_format(struct gtv_mux *m, struct gtv_format *format)
{
    gtv_format_ref(format);
    gtv_format_unref(m->format);
    m->format = format;
}

void gtv_mux_finish(struct gtv_mux *m)
{
    gtv_format_unref(m->format);
    *m = (struct gtv_mux){0};
}

struct gtv_bytes *gtv_mux_sample(struct gtv_mux *m, const struct gtv_sample *sample)
{
    if (m->format == NULL || gtv_mpegts_size(m->format, sample) == 0) {
        return NULL;
    }
    return gtv_mpegts_bytes(m->format, sample, 1, &m->next);
}
