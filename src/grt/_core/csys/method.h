/* Bound methods, as the cases of a select are: whose they are and which. */
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

#endif
