/*
 * Runs the ClickHouse engine of a libchdb shared library as a server.
 *
 * The library exports one call that takes the command line of `clickhouse local`. The query given on it opens the HTTP and
 * TCP listeners and then blocks, so the server serves for as long as this call does not return. There is nothing to
 * hand back: when the call returns, the query failed, and its message goes to stderr.
 *
 * Usage: clickhouse_launcher /path/to/libchdb.so ARGUMENTS...
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The result as chdb.h declares it: https://github.com/chdb-io/chdb/blob/main/programs/local/chdb.h */
struct local_result_v2 {
    char *buf;
    size_t len;
    void *owner;
    double elapsed;
    uint64_t rows_read;
    uint64_t bytes_read;
    char *error_message;
};

typedef struct local_result_v2 *(*query_function)(int argc, char **argv);

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s LIBCHDB ARGUMENTS...\n", argv[0]);
        return 2;
    }
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        fprintf(stderr, "cannot load the ClickHouse library: %s\n", dlerror());
        return 1;
    }
    /* A data pointer and a function pointer may differ in C; POSIX promises that they do not for dlsym. */
    query_function query;
    *(void **)&query = dlsym(library, "query_stable_v2");
    if (query == NULL) {
        fprintf(stderr, "cannot find the entry point of the ClickHouse library: %s\n", dlerror());
        return 1;
    }
    /* The library reads its own name in argv[0], where this program has the path of the library. */
    argv[1] = "clickhouse";
    struct local_result_v2 *result = query(argc - 1, argv + 1);
    fprintf(stderr, "the ClickHouse engine ended: %s\n",
            result != NULL && result->error_message != NULL ? result->error_message : "the blocking query returned");
    return 1;
}
