/* What the scheduler needs from C: greenlet's interface, contexts, the thread's own Proc, locks, callers.

   The compiled twin of the second half of pysys.py. Included by sched alone, so that the thread-local below is one. */
#ifndef GRT_SWITCH_H
#define GRT_SWITCH_H

#include <Python.h>
#include <greenlet.h>
#if PY_VERSION_HEX < 0x030B0000
#include <frameobject.h> /* f_lasti, which 3.11 has a function for */
#endif

static PyObject *grt_run_name = NULL, *grt_no_args = NULL; /* "run" and (), for every new greenlet */

static int grt_switch_setup(void) {
    PyGreenlet_Import();
    if (_PyGreenlet_API == NULL) return -1;
    grt_run_name = PyUnicode_InternFromString("run");
    grt_no_args = PyTuple_New(0);
    return grt_run_name == NULL || grt_no_args == NULL ? -1 : 0;
}

/* PyGreenlet_New, without the dict of keywords that it makes, hashes and parses each time. */
static inline PyObject *grt_greenlet_new(PyObject *run, PyObject *parent) {
    PyObject *fresh = PyGreenlet_Type.tp_new(&PyGreenlet_Type, grt_no_args, NULL);
    if (fresh == NULL) return NULL;
    if (PyObject_SetAttr(fresh, grt_run_name, run) == 0 &&
        PyGreenlet_SetParent((PyGreenlet *)fresh, (PyGreenlet *)parent) == 0)
        return fresh;
    Py_DECREF(fresh);
    return NULL;
}

static inline PyObject *grt_greenlet_current(void) { return (PyObject *)PyGreenlet_GetCurrent(); }

#ifdef Py_GIL_DISABLED
/* list(conn) parks while CPython holds the list's lock, which it knows by the thread, and greenlet before 3.5.3 hands
   the next greenlet. So the locks are let go, as at a blocking call, and hidden until this greenlet runs again. */
static uintptr_t grt_hide_locks(uintptr_t shown) {
    PyThreadState *thread = PyEval_SaveThread();
    uintptr_t hidden = thread->critical_section;
    thread->critical_section = shown;
    PyEval_RestoreThread(thread);
    return hidden;
}
#endif

/* Runs target until somebody switches back. What is passed along is nothing: news travels in the Goroutine. */
static inline int grt_greenlet_switch(PyObject *target) {
#ifdef Py_GIL_DISABLED
    if (PyThreadState_Get()->critical_section != 0) {
        uintptr_t hidden = grt_hide_locks(0);
        PyObject *nothing = PyGreenlet_Switch((PyGreenlet *)target, NULL, NULL);
        grt_hide_locks(hidden);
        Py_XDECREF(nothing);
        return nothing == NULL ? -1 : 0;
    }
#endif
    PyObject *nothing = PyGreenlet_Switch((PyGreenlet *)target, NULL, NULL);
    if (nothing == NULL) return -1;
    Py_DECREF(nothing);
    return 0;
}

static inline int grt_greenlet_set_parent(PyObject *child, PyObject *parent) {
    return PyGreenlet_SetParent((PyGreenlet *)child, (PyGreenlet *)parent);
}

/* Takes target's stack down: raises GreenletExit in it, and comes back when it has ended. What it raises is its own. */
static inline void grt_greenlet_kill(PyObject *target) {
    PyObject *nothing = PyGreenlet_Throw((PyGreenlet *)target, PyExc_GreenletExit, NULL, NULL);
    if (nothing == NULL) PyErr_WriteUnraisable(target);
    Py_XDECREF(nothing);
}

static inline PyObject *grt_greenlet_exit(void) { return Py_NewRef(PyExc_GreenletExit); }

/* What people call fn: its qualified name, without a lookup for plain functions. */
static inline PyObject *grt_name_of(PyObject *fn) {
    if (PyFunction_Check(fn)) return Py_NewRef(((PyFunctionObject *)fn)->func_qualname);
    PyObject *name = PyObject_GetAttrString(fn, "__qualname__");
    if (name != NULL) return name;
    PyErr_Clear();
    return PyObject_Repr(fn);
}

/* A copy of the caller's context; None while it has none yet, which spares an object for each start. */
static inline PyObject *grt_context_copy(void) {
    if (PyThreadState_Get()->context == NULL) Py_RETURN_NONE;
    return PyContext_CopyCurrent();
}

/* fn(*args) with as few and as small C frames as can be: they are part of what a parked goroutine keeps. */
static inline PyObject *grt_call(PyObject *fn, PyObject *args) {
    vectorcallfunc call = PyVectorcall_Function(fn);
    if (call == NULL) return PyObject_Call(fn, args, NULL);
    return call(fn, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
}

/* What left the last call_in of this thread, NULL when it returned. */
static _Thread_local PyObject *grt_call_error = NULL;

/* Keeps what has been raised for grt_raised; returns None. */
static __attribute__((noinline, cold)) PyObject *grt_keep_error(void) {
    PyObject *type, *trace;
    PyErr_Fetch(&type, &grt_call_error, &trace);
    PyErr_NormalizeException(&type, &grt_call_error, &trace);
    if (trace != NULL) PyException_SetTraceback(grt_call_error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    Py_RETURN_NONE;
}

/* In the empty context: what fn sets in it is dropped at its end. */
static __attribute__((noinline)) PyObject *grt_call_in_none(PyObject *fn, PyObject *args) {
    PyObject *value = grt_call(fn, args);
    PyThreadState *thread = PyThreadState_Get();
    if (thread->context != NULL) {
        Py_CLEAR(thread->context);
        thread->context_ver++; /* as PyContext_Exit does: context variables cache by it */
    }
    return value != NULL ? value : grt_keep_error();
}

static __attribute__((noinline)) PyObject *grt_call_in_some(PyObject *context, PyObject *fn, PyObject *args) {
    if (PyContext_Enter(context) < 0) return grt_keep_error();
    PyObject *value = grt_call(fn, args);
    if (PyContext_Exit(context) < 0) Py_CLEAR(value);
    return value != NULL ? value : grt_keep_error();
}

/* context.run(fn, ...) without its Python-level call, and without raising: an exception is left for grt_raised, which
   saves a parked goroutine the C frame of a handler. None is the empty context. */
static inline PyObject *grt_call_in(PyObject *context, PyObject *fn, PyObject *args) {
    return context == Py_None ? grt_call_in_none(fn, args) : grt_call_in_some(context, fn, args);
}

/* The exception that left the last call_in, once; None when it returned. */
static inline PyObject *grt_raised(void) {
    PyObject *error = grt_call_error;
    if (error == NULL) Py_RETURN_NONE;
    grt_call_error = NULL;
    return error;
}

/* A living goroutine is held by its own stack, so the collector has nothing to find out about it: short ones are not
   shown to it at all, and one that has ended only if somebody has kept it. held: references the runtime itself has. */
static inline void grt_gc_hide(PyObject *g) { PyObject_GC_UnTrack(g); }

static inline void grt_gc_show_if_kept(PyObject *g, Py_ssize_t held) {
    if (Py_REFCNT(g) > held && !PyObject_GC_IsTracked(g)) PyObject_GC_Track(g);
}

/* The memory of objects of one type that have gone, for the next ones. Short goroutines come and go by the thousand. */
#define GRT_POOL 1024
static PyObject *grt_pool[GRT_POOL];
static int grt_pool_size = 0;

static inline PyObject *grt_pool_alloc(PyTypeObject *type, Py_ssize_t items) {
    if (grt_pool_size == 0) return PyType_GenericAlloc(type, items);
    PyObject *object = grt_pool[--grt_pool_size];
    memset((char *)object + sizeof(PyObject), 0, (size_t)type->tp_basicsize - sizeof(PyObject));
    PyObject_Init(object, type);
    PyObject_GC_Track(object);
    return object;
}

static inline void grt_pool_free(void *object) {
    if (grt_pool_size < GRT_POOL) grt_pool[grt_pool_size++] = object;
    else PyObject_GC_Del(object);
}

/* For one type, which has no subtypes. Not without a GIL, which guards the pool. */
static inline void grt_pool_objects(PyObject *type) {
#ifndef Py_GIL_DISABLED
    ((PyTypeObject *)type)->tp_alloc = grt_pool_alloc;
    ((PyTypeObject *)type)->tp_free = grt_pool_free;
#endif
}

/* The calling thread's Proc, borrowed: a threading.local beside it owns it and clears this when the thread ends. */
#ifdef __GLIBC__ /* looked up at every blocking call: without a function call, where the loader allows it */
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local PyObject *grt_thread_proc = NULL;

static inline PyObject *grt_proc_get(void) {
    PyObject *proc = grt_thread_proc ? grt_thread_proc : Py_None;
    Py_INCREF(proc);
    return proc;
}

static inline void grt_proc_set(PyObject *proc) { grt_thread_proc = proc == Py_None ? NULL : proc; }

/* The Python code that is calling us, None outside of any, and the offset in it: its line is worked out only if asked. */
static inline PyObject *grt_caller_code(void) {
    PyFrameObject *frame = PyEval_GetFrame();
    if (frame == NULL) Py_RETURN_NONE;
    return (PyObject *)PyFrame_GetCode(frame);
}

static inline int grt_caller_offset(void) {
    PyFrameObject *frame = PyEval_GetFrame();
    if (frame == NULL) return -1;
#if PY_VERSION_HEX >= 0x030B0000
    return PyFrame_GetLasti(frame);
#else
    return frame->f_lasti * 2;
#endif
}

#endif
