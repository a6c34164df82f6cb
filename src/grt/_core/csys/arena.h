/* The memory of parked goroutines, in cells that are used again.

   CPython gives every new greenlet's frames a chunk of 16 KiB straight from mmap and unmaps it when the greenlet
   ends, which is most of what a fresh greenlet costs. Of those 16 KiB a goroutine touches the first page, and of that
   the beginning. And greenlet copies the C stack of whoever parks, about 2 KiB, to the heap. So a cell is both, in
   one page: a slot for such a copy, and the chunk behind it, whose other pages are untouched as a rule.

     | slot | chunk                           | unused |
     | page 0        | page 1 | page 2 | page 3 | page 4 |

   Invariants: cells lie in one reserved range of addresses, so a pointer tells whose it is. A free chunk beyond
   GRT_POOLED of them gives its pages back, and the slot's page with it unless that is in use. What is free is listed
   beside the cells, so that pages given back stay untouched.
   Threads: CPython frees chunks from any thread, also without the GIL, hence the spin lock, which guards all.
   Rejected: huge pages (each cell would be wholly resident); slots without a GIL (CPython finds the objects of a
   thread by its own allocator); wrapping PyMem_Malloc and PyMem_Calloc (greenlet uses PyMem_Realloc alone). */
#ifndef GRT_ARENA_H
#define GRT_ARENA_H

#include <Python.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef Py_GIL_DISABLED
#define GRT_SLOT 0
#else
#define GRT_SLOT 2304 /* bytes: what most goroutines' C stacks need; leaves 1.7 KiB of the page to their frames */
#endif
#define GRT_SLOT_LEAST 513             /* up to 512 bytes CPython's own allocator is better */
#define GRT_CHUNK (16 * 1024)          /* _PY_DATA_STACK_CHUNK_SIZE */
#define GRT_POOLED 4096                /* free chunks that keep their pages: 16 MiB or some more */
#define GRT_CELLS (1 << 20)            /* more goroutines than that do with what CPython has */
#define GRT_CELLS_LEAST (1 << 10)      /* where addresses are scarce; with fewer there are no cells */
#define GRT_STEP 256                   /* cells made usable at a time */

typedef struct {
    int32_t next_chunk; /* the next free one, -1 after the last */
    int32_t next_slot;
    int32_t slot_used;
} grt_cell;

static struct {
    atomic_flag lock;
    char *base;         /* of the reserved range, NULL when there is none */
    size_t range;       /* its size */
    size_t stride;      /* from cell to cell: slot and chunk in whole pages */
    size_t page;
    grt_cell *cells;
    int32_t most;       /* cells that fit */
    int32_t usable;     /* cells whose memory may be touched */
    int32_t begun;      /* cells that were ever used */
    int32_t free_chunk; /* the first free one, -1 without any */
    int32_t free_slot;
    int32_t free_chunks; /* how many */
    PyObjectArenaAllocator below;
    PyMemAllocatorEx mem_below;
} grt_arena = {.lock = ATOMIC_FLAG_INIT, .free_chunk = -1, .free_slot = -1};

static inline void grt_arena_lock(void) {
    while (atomic_flag_test_and_set_explicit(&grt_arena.lock, memory_order_acquire)) {}
}

static inline void grt_arena_unlock(void) { atomic_flag_clear_explicit(&grt_arena.lock, memory_order_release); }

static inline int grt_arena_owns(void *at) { return (size_t)((char *)at - grt_arena.base) < grt_arena.range; }

static inline int32_t grt_arena_cell_of(void *at) {
    return (int32_t)((size_t)((char *)at - grt_arena.base) / grt_arena.stride);
}

static inline char *grt_arena_at(int32_t cell) { return grt_arena.base + (size_t)cell * grt_arena.stride; }

/* A cell never used before, -1 where there is no room for it. Its slot is free. */
static int32_t grt_arena_begin(void) {
    if (grt_arena.begun == grt_arena.usable) {
        if (grt_arena.usable == grt_arena.most) return -1;
        size_t step = GRT_STEP * grt_arena.stride;
        if (mprotect(grt_arena_at(grt_arena.usable), step, PROT_READ | PROT_WRITE) < 0) return -1;
        grt_arena.usable += GRT_STEP;
    }
    int32_t cell = grt_arena.begun++;
    grt_arena.cells[cell].next_slot = grt_arena.free_slot;
    grt_arena.free_slot = cell;
    return cell;
}

static void *grt_arena_alloc(void *context, size_t size) {
    (void)context;
    int32_t cell = -1;
    if (size == GRT_CHUNK) {
        grt_arena_lock();
        cell = grt_arena.free_chunk;
        if (cell >= 0) {
            grt_arena.free_chunk = grt_arena.cells[cell].next_chunk;
            grt_arena.free_chunks--;
        } else {
            cell = grt_arena_begin();
        }
        grt_arena_unlock();
    }
    return cell < 0 ? grt_arena.below.alloc(grt_arena.below.ctx, size) : grt_arena_at(cell) + GRT_SLOT;
}

static void grt_arena_dealloc(void *context, void *chunk, size_t size) {
    (void)context;
    if (!grt_arena_owns(chunk)) {
        grt_arena.below.free(grt_arena.below.ctx, chunk, size);
        return;
    }
    int32_t index = grt_arena_cell_of(chunk);
    grt_cell *cell = &grt_arena.cells[index];
    grt_arena_lock();
    cell->next_chunk = grt_arena.free_chunk;
    grt_arena.free_chunk = index;
    if (++grt_arena.free_chunks > GRT_POOLED) {
        size_t kept = cell->slot_used ? grt_arena.page : 0;
        madvise(grt_arena_at(index) + kept, grt_arena.stride - kept, MADV_DONTNEED);
    }
    grt_arena_unlock();
}

static inline void *grt_slot_take(void) {
    grt_arena_lock();
    int32_t index = grt_arena.free_slot;
    if (index >= 0) {
        grt_arena.free_slot = grt_arena.cells[index].next_slot;
        grt_arena.cells[index].slot_used = 1;
    }
    grt_arena_unlock();
    return index < 0 ? NULL : grt_arena_at(index);
}

static inline void grt_slot_give(void *slot) {
    int32_t index = grt_arena_cell_of(slot);
    grt_cell *cell = &grt_arena.cells[index];
    grt_arena_lock();
    cell->slot_used = 0;
    cell->next_slot = grt_arena.free_slot;
    grt_arena.free_slot = index;
    grt_arena_unlock();
}

/* PyMem_Realloc: what begins with it and fits goes into a slot. */
static void *grt_mem_realloc(void *context, void *old, size_t size) {
    if (old == NULL) {
        void *slot = size - GRT_SLOT_LEAST <= (size_t)(GRT_SLOT - GRT_SLOT_LEAST) ? grt_slot_take() : NULL;
        return slot != NULL ? slot : grt_arena.mem_below.realloc(context, NULL, size);
    }
    if (!grt_arena_owns(old)) return grt_arena.mem_below.realloc(context, old, size);
    if (size <= GRT_SLOT) return old;
    void *larger = grt_arena.mem_below.malloc(context, size);
    if (larger == NULL) return NULL;
    memcpy(larger, old, GRT_SLOT);
    grt_slot_give(old);
    return larger;
}

static void grt_mem_free(void *context, void *old) {
    if (grt_arena_owns(old)) grt_slot_give(old);
    else grt_arena.mem_below.free(context, old);
}

/* Reserves addresses, not memory, for as many cells as it can have; false when that is none. */
static int grt_arena_reserve(void) {
    grt_arena.page = (size_t)sysconf(_SC_PAGESIZE);
    grt_arena.stride = (GRT_SLOT + GRT_CHUNK + grt_arena.page - 1) / grt_arena.page * grt_arena.page;
    for (int32_t most = GRT_CELLS; most >= GRT_CELLS_LEAST; most /= 2) {
        int flags = MAP_PRIVATE | MAP_ANON | MAP_NORESERVE;
        size_t beside = (size_t)most * sizeof(grt_cell), range = (size_t)most * grt_arena.stride;
        void *cells = mmap(NULL, beside, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (cells == MAP_FAILED) continue;
        char *base = mmap(NULL, range, PROT_NONE, flags, -1, 0);
        if (base == MAP_FAILED) {
            munmap(cells, beside);
            continue;
        }
#ifdef MADV_NOHUGEPAGE
        madvise(base, range, MADV_NOHUGEPAGE);
#endif
        grt_arena.most = most;
        grt_arena.cells = cells;
        grt_arena.range = range;
        grt_arena.base = base;
        return 1;
    }
    return 0;
}

/* Slots are for CPython's allocator as it is: what somebody has hooked into it, he may take out again, and us with it,
   but never from below. */
static void grt_mem_install(void) {
    PyMemAllocatorEx objects;
    PyMem_GetAllocator(PYMEM_DOMAIN_MEM, &grt_arena.mem_below);
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &objects);
    if (grt_arena.mem_below.ctx != NULL || grt_arena.mem_below.malloc != objects.malloc) return;
    PyMemAllocatorEx mine = grt_arena.mem_below;
    mine.realloc = grt_mem_realloc;
    mine.free = grt_mem_free;
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &mine);
}

/* Once, and never undone: what was handed out comes back until the process ends. */
static void grt_arena_install(void) {
    if (grt_arena.base != NULL || !grt_arena_reserve()) return;
    PyObjectArenaAllocator mine = {NULL, grt_arena_alloc, grt_arena_dealloc};
    PyObject_GetArenaAllocator(&grt_arena.below);
    PyObject_SetArenaAllocator(&mine);
    pthread_atfork(grt_arena_lock, grt_arena_unlock, grt_arena_unlock); /* nobody else holds it in the child */
    if (GRT_SLOT > 0) grt_mem_install();
}

#endif
