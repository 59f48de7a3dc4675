/* Items on disk: one file each, replaced in one step. */
#ifndef ITEMS_H
#define ITEMS_H

#include <stddef.h>

enum { KEY_MAX = 100, ITEM_MAX = 1 << 20 };

/* Opens the directory and removes what a killed process left. Returns 0, or -1 with errno. */
int items_open(const char *directory);

/* Whether `key` names an item: 1 to KEY_MAX of letters, digits, `.`, `_` and `-`, no dot first. */
int items_is_key(const char *key);

/* Whether items can be written. */
int items_are_writable(void);

/* The content of an item, for free(); NULL with errno ENOENT when there is none. */
char *items_read(const char *key, size_t *length);

/* Writes an item, synced. Returns 1 when it is new, 0 when it was replaced, -1 with errno. */
int items_write(const char *key, const char *bytes, size_t length);

/* Removes an item. Returns 0, or -1 with errno. */
int items_remove(const char *key);

#endif
