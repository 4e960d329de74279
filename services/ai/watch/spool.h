// Events that could not be told yet, on disk: lines in one file, bounded, written at the end and read from
// the beginning. What is there when the program starts is read too. One thread.
#ifndef GTV_AI_SPOOL_H
#define GTV_AI_SPOOL_H

#include "lib/base/buf.h"
#include "lib/base/bytes.h"

struct gtv_spool;

// Takes the first of dir/events-0.spool, -1, ... that no other program has locked, and makes the folder where
// it is missing. max_bytes: beyond it nothing more is taken. NULL with *err.
struct gtv_spool *gtv_spool_open(const char *dir, size_t max_bytes, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_spool_close(struct gtv_spool *s); // what is in it stays; NULL is accepted

// line: without line feeds. False when it is full or cannot be written.
bool gtv_spool_put(struct gtv_spool *s, struct gtv_str line) GTV_WARN_UNUSED;
// The oldest line, into out (emptied first). False when there is none.
bool gtv_spool_peek(struct gtv_spool *s, struct gtv_buf *out);
void gtv_spool_drop(struct gtv_spool *s);          // the oldest line; the file is emptied with the last one
size_t gtv_spool_bytes(const struct gtv_spool *s); // that wait

#endif
