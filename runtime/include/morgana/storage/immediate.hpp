// An awaitable whose value is there already: what a device returns whose operations never wait, without the
// frame of a coroutine.
#pragma once

#include <coroutine>
#include <utility>

namespace morgana::storage {

template <class T>
class [[nodiscard]] immediate {
 public:
  immediate(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  [[nodiscard]] T await_resume() { return std::move(value_); }

 private:
  T value_;
};

}  // namespace morgana::storage
