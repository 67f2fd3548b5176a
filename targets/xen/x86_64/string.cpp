// std::string's functions, as a guest has them: without exceptions. Those of the C++ library, which are compiled with them,
// would bring what a handler needs to know of the types that they throw, and nobody catches here (exceptions.cpp).
#include <string>

template class std::basic_string<char>;
