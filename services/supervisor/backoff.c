#include "services/supervisor/backoff.h"

int64_t backoff_next(struct backoff *b, int64_t lived_ms)
{
    if (b->last_ms == 0 || lived_ms >= BACKOFF_RESET_MS)
        b->last_ms = BACKOFF_FIRST_MS;
    else
        b->last_ms = b->last_ms * 2 < BACKOFF_MAX_MS ? b->last_ms * 2 : BACKOFF_MAX_MS;
    return b->last_ms;
}
