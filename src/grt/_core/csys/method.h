/* Methods: whose a bound one is and which, as the cases of a select are; a function in two versions. */
#ifndef GRT_METHOD_H
#define GRT_METHOD_H

#include <Python.h>

/* The object that method is bound to; None if it is no bound method. */
static inline PyObject *grt_method_self(PyObject *method) {
    PyObject *self = NULL;
    if (PyCFunction_CheckExact(method)) self = PyCFunction_GET_SELF(method);
    return Py_NewRef(self == NULL ? Py_None : self);
}

/* Whether method is the one called name. */
static inline int grt_method_is(PyObject *method, const char *name) {
    return PyCFunction_CheckExact(method) && strcmp(((PyCFunctionObject *)method)->m_ml->ml_name, name) == 0;
}

typedef PyObject *(*grt_general)(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names);
typedef PyObject *(*grt_plain)(PyObject *fn, PyObject *args);
static grt_general grt_general_call;
static grt_plain grt_plain_call;

static PyObject *grt_call_plainly(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    if (count < 1 || (names != NULL && PyTuple_GET_SIZE(names) > 0)) return grt_general_call(self, given, count, names);
    PyObject *args = PyTuple_New(count - 1);
    if (args == NULL) return NULL;
    for (Py_ssize_t i = 1; i < count; i++) PyTuple_SET_ITEM(args, i - 1, Py_NewRef(given[i]));
    PyObject *result = grt_plain_call(given[0], args);
    Py_DECREF(args);
    return result;
}

/* general, a function (fn, *args, **kwargs), but calls without keywords are plain(fn, args): Cython makes a dict for
   kwargs, and drops it, at each call. For one function of the module. */
static PyObject *grt_without_keywords(PyObject *general, grt_plain plain) {
    static PyMethodDef method;
    if (!PyCFunction_CheckExact(general) || PyCFunction_GET_FLAGS(general) != (METH_FASTCALL | METH_KEYWORDS))
        return Py_NewRef(general);
    method = *((PyCFunctionObject *)general)->m_ml;
    grt_general_call = (grt_general)(void (*)(void))method.ml_meth;
    grt_plain_call = plain;
    method.ml_meth = (PyCFunction)(void (*)(void))grt_call_plainly;
    return PyCFunction_NewEx(&method, PyCFunction_GET_SELF(general), ((PyCFunctionObject *)general)->m_module);
}

#endif
