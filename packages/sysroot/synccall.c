/* Runs something in every thread. There is one. */
#include "pthread_impl.h"

void __synccall(void (*call)(void*), void* context) { call(context); }
