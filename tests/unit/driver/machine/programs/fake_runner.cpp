// A runner that misbehaves as its first argument says. It has no guest: what it tells the driver is all there
// is.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>

#include "morgana/plugin/runner.hpp"

using namespace morgana::plugin;
using namespace morgana::machine_protocol;

namespace {

void write_raw(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    auto const count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// The next message, waiting; null when the driver has closed the socket.
nlohmann::json wait_for(runner_connection& driver) {
  while (!driver.closed()) {
    if (auto message = driver.next()) return *message;
    pollfd wait{driver.descriptor(), driver.events(), 0};
    ::poll(&wait, 1, -1);
    driver.serve();
  }
  return nullptr;
}

void wait_for_the_end(runner_connection& driver) {
  while (!wait_for(driver).is_null()) {
  }
}

}  // namespace

int main(int count, char** values) {
  std::string_view const how = count > 1 ? values[1] : "";
  auto connection = runner_connection::from_environment();
  if (!connection) return 125;
  auto& driver = *connection;
  auto const socket = driver.descriptor();

  if (how == "silent") {
    wait_for_the_end(driver);
    return 0;
  }
  if (how == "deaf") {  // it does not even notice that its socket was closed
    for (;;) ::pause();
  }
  if (how == "dies") {
    std::fprintf(stderr, "no such machine\n");
    return 3;
  }
  if (how == "garbage") {
    write_raw(socket, frame("\x1b[31m{{{ not JSON"));
    wait_for_the_end(driver);
    return 0;
  }
  if (how == "version") {
    driver.send({{"type", "hello"}, {"version", {7, 3}}, {"capabilities", nlohmann::json::array()}});
    wait_for_the_end(driver);
    return 0;
  }
  if (how == "oversize") {
    write_raw(socket, std::string_view("\x7f\xff\xff\xff", 4));
    wait_for_the_end(driver);
    return 0;
  }
  if (how == "exit-first") {
    driver.send_exit({.status = 0});
    wait_for_the_end(driver);
    return 0;
  }
  if (how == "fails-first") {
    driver.send_error({"no hypervisor here", {"load its module"}}, true);
    wait_for_the_end(driver);
    return 0;
  }

  driver.send_hello({"console", "input"});
  auto const start = wait_for(driver);
  if (start.is_null()) return 0;
  driver.send_started();
  if (how == "echo-start") {
    driver.send_console(start.dump());
    driver.send_exit({.status = 0});
  } else if (how == "exit-twice") {
    driver.send_exit({.status = 1});
    driver.send_exit({.status = 2});
  } else if (how == "dies-later") {
    driver.send_console("half a li");
    std::fprintf(stderr, "out of luck\n");
    std::fflush(stderr);
    ::raise(SIGKILL);
  } else if (how == "bad-exit") {
    driver.send({{"type", "exit"}, {"status", 4711}, {"reason", "finished"}});
  } else if (how == "bad-reason") {
    driver.send({{"type", "exit"}, {"status", 1}, {"reason", "bored"}});
  } else if (how == "bad-console") {
    driver.send({{"type", "console"}, {"data", "%%%%"}});
  } else if (how == "hello-twice") {
    driver.send_hello({});
  } else if (how == "future") {
    driver.send({{"type", "balloon"}, {"bytes", 1}});
    driver.send_exit({.status = 5});
  } else if (how == "many") {
    for (int i = 0; i < 1000; ++i) driver.send_console("x");
    driver.send_exit({.status = 0});
  } else if (how == "deaf-later") {
    for (;;) ::pause();
  }
  driver.drain();
  wait_for_the_end(driver);
  return 0;
}
