// A library that is no plugin.
extern "C" int morgana_something_else();
extern "C" int morgana_something_else() {
  return 0;
}
