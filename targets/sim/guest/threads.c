/* The locks of the one thread there is: libraries guard their tables by them. There is no pthread_create, so that a
 * program that wants a second thread does not link. In C and without headers, whose types these functions ignore. */

_Noreturn void abort(void);

#define ALWAYS_DONE(name)     \
  int name(void* what);       \
  int name(void* what) {      \
    (void)what;               \
    return 0;                 \
  }

ALWAYS_DONE(pthread_mutex_destroy)
ALWAYS_DONE(pthread_mutex_lock)
ALWAYS_DONE(pthread_mutex_trylock)
ALWAYS_DONE(pthread_mutex_unlock)
ALWAYS_DONE(pthread_rwlock_rdlock)
ALWAYS_DONE(pthread_rwlock_wrlock)
ALWAYS_DONE(pthread_rwlock_unlock)
ALWAYS_DONE(pthread_cond_signal)
ALWAYS_DONE(pthread_cond_broadcast)
ALWAYS_DONE(pthread_cond_destroy)

int pthread_mutex_init(void* what, void const* how);
int pthread_mutex_init(void* what, void const* how) {
  (void)what;
  (void)how;
  return 0;
}

/* The only thread would wait for itself. */
int pthread_cond_wait(void* what, void* mutex);
int pthread_cond_wait(void* what, void* mutex) {
  (void)what;
  (void)mutex;
  abort();
}

int pthread_once(int* control, void (*initialise)(void));
int pthread_once(int* control, void (*initialise)(void)) {
  if (*control == 0) {
    *control = 1;
    initialise();
  }
  return 0;
}
