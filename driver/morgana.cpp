#include "morgana/driver/command.hpp"

int main(int argument_count, char** arguments) { return morgana::driver::run_command(argument_count, arguments); }
