#include "services/ai/watch/faults.h"

#include <stdio.h>
#include <string.h>

const char *gtv_faults_key(int64_t camera_id, char out[GTV_FAULTS_KEY_CAP])
{
    snprintf(out, GTV_FAULTS_KEY_CAP, "gtv:ai:faults:%lld", (long long)camera_id);
    return out;
}

unsigned gtv_faults_read(const char *fault, const char *state)
{
    if (strncmp(state, "on|", 3) != 0)
        return 0;
    for (unsigned bit = 1; bit <= GTV_FAULTS_ALL; bit <<= 1)
        if (strcmp(gtv_fault_name(bit), fault) == 0)
            return bit;
    return 0;
}

void gtv_faults_inherit(struct gtv_faults *f, unsigned told)
{
    *f = (struct gtv_faults){.told = told & GTV_FAULTS_ALL, .inherited = told & GTV_FAULTS_ALL};
}

unsigned gtv_faults_update(struct gtv_faults *f, unsigned seen, bool pictures, int64_t now_ms)
{
    if (!pictures || f->until_ms == 0) // the first picture may be here before anybody asks
        f->until_ms = now_ms + GTV_FAULTS_PATIENCE_MS;
    f->inherited &= ~seen;
    if (now_ms >= f->until_ms)
        f->inherited = 0;
    unsigned now = (seen & GTV_FAULTS_ALL) | f->inherited, changed = now ^ f->told;
    f->told = now;
    return changed;
}

const char *gtv_fault_name(unsigned bit)
{
    return bit == GTV_FAULT_UNTIMED ? "untimed" : gtv_gate_fault_name((enum gtv_gate_fault)bit);
}
