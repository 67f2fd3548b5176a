/* Names this image in __cxa_atexit and its like; compilers leave it to the object that is linked first, which an
 * image of ours does not have. */
__attribute__((visibility("hidden"))) void* const __dso_handle = (void*)0;
