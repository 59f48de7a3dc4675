#define _GNU_SOURCE
#include "items.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No key begins with a dot, so this is never an item. */
static const char unfinished[] = ".unfinished";
static int items_directory = -1;

int items_open(const char *directory)
{
    items_directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (items_directory < 0)
        return -1;
    return unlinkat(items_directory, unfinished, 0) == 0 || errno == ENOENT || errno == EROFS ? 0 : -1;
}

int items_is_key(const char *key)
{
    size_t length = strlen(key);

    return length > 0 && length <= KEY_MAX && key[0] != '.'
        && strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

int items_are_writable(void)
{
    return faccessat(items_directory, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static int close_with(int file, int reason)
{
    close(file);
    errno = reason;
    return -1;
}

char *items_read(const char *key, size_t *length)
{
    struct stat status;
    int file = openat(items_directory, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (file < 0)
        return NULL;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > ITEM_MAX) {
        close_with(file, EIO);
        return NULL;
    }
    size_t size = (size_t)status.st_size, have = 0;
    char *bytes = malloc(size + 1);
    while (bytes != NULL && have < size) {
        ssize_t got = read(file, bytes + have, size - have);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            free(bytes);
            bytes = NULL;
            errno = EIO;
        } else if (got > 0) {
            have += (size_t)got;
        }
    }
    int reason = errno;
    close(file);
    errno = reason;
    *length = have;
    return bytes;
}

int items_write(const char *key, const char *bytes, size_t length)
{
    int is_new = faccessat(items_directory, key, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int file = openat(items_directory, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);

    if (file < 0)
        return -1;
    for (size_t written = 0; written < length;) {
        ssize_t put = write(file, bytes + written, length - written);
        if (put < 0 && errno != EINTR)
            return close_with(file, errno);
        written += put > 0 ? (size_t)put : 0;
    }
    if (fsync(file) != 0)
        return close_with(file, errno);
    if (close(file) != 0 || renameat(items_directory, unfinished, items_directory, key) != 0)
        return -1;
    return fsync(items_directory) == 0 ? is_new : -1;
}

int items_remove(const char *key)
{
    if (unlinkat(items_directory, key, 0) != 0)
        return -1;
    return fsync(items_directory);
}
