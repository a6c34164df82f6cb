/* A pool of data-stack chunks.

   CPython gives every new greenlet's frames a chunk of 16 KiB straight from mmap and unmaps it when the greenlet
   ends, which is most of what a fresh greenlet costs. This allocator keeps freed chunks of exactly that size and
   hands every other size on to the allocator it found. CPython calls it from any thread, also without the GIL,
   hence the spin lock; the pool is bounded, so a burst gives its memory back.

   Rejected: carving chunks out of larger maps (huge pages then make each chunk wholly resident). */
#ifndef GRT_ARENA_H
#define GRT_ARENA_H

#include <Python.h>
#include <stdatomic.h>

#define GRT_CHUNK (16 * 1024) /* _PY_DATA_STACK_CHUNK_SIZE */
#define GRT_POOLED 4096       /* at most 64 MiB of address space, about a quarter of it resident */

static PyObjectArenaAllocator grt_arena_below;
static void *grt_arena_free = NULL; /* a list linked through each chunk's first word */
static int grt_arena_count = 0;
static atomic_flag grt_arena_lock = ATOMIC_FLAG_INIT;

static void *grt_arena_alloc(void *context, size_t size) {
    (void)context;
    void *chunk = NULL;
    if (size == GRT_CHUNK) {
        while (atomic_flag_test_and_set_explicit(&grt_arena_lock, memory_order_acquire)) {}
        chunk = grt_arena_free;
        if (chunk != NULL) {
            grt_arena_free = *(void **)chunk;
            grt_arena_count--;
        }
        atomic_flag_clear_explicit(&grt_arena_lock, memory_order_release);
    }
    return chunk != NULL ? chunk : grt_arena_below.alloc(grt_arena_below.ctx, size);
}

static void grt_arena_dealloc(void *context, void *chunk, size_t size) {
    (void)context;
    if (size == GRT_CHUNK) {
        while (atomic_flag_test_and_set_explicit(&grt_arena_lock, memory_order_acquire)) {}
        if (grt_arena_count < GRT_POOLED) {
            *(void **)chunk = grt_arena_free;
            grt_arena_free = chunk;
            grt_arena_count++;
            chunk = NULL;
        }
        atomic_flag_clear_explicit(&grt_arena_lock, memory_order_release);
    }
    if (chunk != NULL) grt_arena_below.free(grt_arena_below.ctx, chunk, size);
}

/* Never undone: chunks handed out by this allocator come back to it until the process ends. */
static void grt_arena_install(void) {
    PyObjectArenaAllocator mine = {NULL, grt_arena_alloc, grt_arena_dealloc};
    PyObject_GetArenaAllocator(&grt_arena_below);
    PyObject_SetArenaAllocator(&mine);
}

#endif
