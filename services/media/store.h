// The paths added by API, kept in one JSON file that survives a restart: <folder>/paths.json, mode 0600 (it
// holds the cameras' passwords), replaced atomically. Saves are collected: while one write is on its way, all
// that comes waits for the next one.
#ifndef GTV_MEDIA_STORE_H
#define GTV_MEDIA_STORE_H

#include "lib/base/bytes.h"
#include "lib/log/log.h"
#include "lib/loop/loop.h"

struct gtv_store;

// Makes the folder (0700) and locks it against a second node. snapshot gives the text to write, on the loop's
// thread.
struct gtv_store *gtv_store_open(struct gtv_loop *loop, const char *folder,
                                 struct gtv_bytes *(*snapshot)(void *arg), void *arg,
                                 const struct gtv_log *log, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_store_close(struct gtv_store *s); // on the loop's thread, after it ended or with no write on its
                                           // way; NULL is accepted

// The file's text; NULL with err->code GTV_E_NOT_FOUND when there is none yet. At most 16 MiB. Blocking: at
// start only.
struct gtv_bytes *gtv_store_read(struct gtv_store *s, struct gtv_error *err) GTV_WARN_UNUSED;
// Puts a file that could not be understood aside (paths.json.bad), so that it is not overwritten.
void gtv_store_set_aside(struct gtv_store *s);

// Calls done(arg, NULL) once a snapshot taken after this call is on the disk, or done(arg, error). Writing
// happens in libuv's thread pool.
void gtv_store_save(struct gtv_store *s, void (*done)(void *arg, const struct gtv_error *err), void *arg);
bool gtv_store_busy(const struct gtv_store *s);

// The write itself: <folder>/paths.json by way of a temporary file, fsync of both file and folder, rename.
// Blocking, any thread.
bool gtv_store_write_file(const char *folder, struct gtv_str text, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
