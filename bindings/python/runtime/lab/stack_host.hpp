// A host of a simulated world that runs our stack with its coroutines (net::direct_stack) and whose
// applications are written in Python: sockets are held here under numbers, what a Python coroutine waits for
// is a task of this host's executor.
//
// A host that loses power is destroyed whole: whatever was waited for ends in an error that says so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device.hpp"
#include "morgana/core/context.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/net/dhcp/v4_server.hpp"
#include "morgana/net/direct_stack.hpp"
#include "morgana/net/dns/client.hpp"
#include "morgana/sim/node.hpp"
#include "morgana/sim/random.hpp"
#include "values.hpp"

namespace morgana::python {

using stack = net::direct_stack<device>;

/// Where outcomes go, until Python takes them.
using finished_list = std::vector<outcome>;

/// One thing that Python waits for.
class pending final : public completion {
 public:
  pending(std::uint64_t number, finished_list& to) : done_(&to) { result.operation = number; }
  void start(context& in, task<> work) {
    work_ = std::move(work);
    work_.start(in, *this);
  }
  outcome result;

 private:
  std::coroutine_handle<> ended() noexcept override {
    done_->push_back(std::move(result));
    return std::noop_coroutine();
  }
  finished_list* done_;
  task<> work_;
};

struct stack_settings {
  std::string name;
  net::mac_address mac;
  bool offloads = false;
  net::direct_stack_options options;
};

struct dhcp_service {
  std::unique_ptr<net::dhcp::v4_server> server;
  std::unique_ptr<scope> serving;
};

class stack_host final : public sim::node, private log_sink {
 public:
  static constexpr std::size_t log_bytes_max = 256 * 1024;
  /// Calls of the executor at one moment, after which the world is told that it never has enough.
  static constexpr std::size_t turns_max = 10'000;

  stack_host(stack_settings settings, sim::random_source const& random, finished_list& finished);
  ~stack_host() override;

  /// Boots: connects the stack. Errors of the options are on the log.
  void begin(instant now);
  /// Null until the stack is connected, which takes time only where an address is asked for.
  [[nodiscard]] stack* network() { return network_.get(); }
  /// Why there is no stack; empty while there is hope.
  [[nodiscard]] std::string const& broken() const { return broken_; }

  /// Makes `now` the time of everything that is called before the next run.
  void enter(instant now) { run(now); }
  /// Begins something that Python waits for; its outcome may be there at once.
  template <class Work>
  void begin_operation(std::uint64_t operation, Work&& make) {
    auto& one = *(pending_[operation] = std::make_unique<pending>(operation, *finished_));
    one.start(context_, make(one.result));
  }
  /// Nobody waits for it any more.
  void forget(std::uint64_t operation) { pending_.erase(operation); }
  [[nodiscard]] std::vector<std::uint64_t> waiting() const;

  [[nodiscard]] std::string const& log() const { return log_; }
  [[nodiscard]] device const& interface() const { return device_; }
  [[nodiscard]] class context& context() { return context_; }
  [[nodiscard]] instant host_now() const { return executor_.now(); }
  [[nodiscard]] stack_settings const& settings() const { return settings_; }
  [[nodiscard]] net::dns_client<stack>& names(net::name_server_setting const& servers);
  [[nodiscard]] net::siphash_key key(std::string_view use) const;

  std::map<handle, std::shared_ptr<net::direct_stream>> streams;
  std::map<handle, std::shared_ptr<net::direct_listener>> listeners;
  std::map<handle, std::shared_ptr<net::direct_datagrams>> datagrams;
  std::map<handle, std::unique_ptr<dhcp_service>> dhcp_servers;

  // ---- sim::node ---------------------------------------------------------------------------------------
  void receive(std::size_t port, sim::frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, sim::frame& into, instant now) override;
  [[nodiscard]] instant next_deadline() const override { return next_; }
  void on_deadline(instant now) override { run(now); }

 private:
  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };
  task<> boot();
  void run(instant now);
  void write(log_record const& record) override;
  [[nodiscard]] log_level level_of(std::string_view) const override { return log_level::info; }
  [[nodiscard]] instant now() const override { return executor_.now(); }

  stack_settings settings_;
  std::array<std::byte, 32> secret_{};
  finished_list* finished_;
  std::string log_, broken_;
  instant booted_{};
  instant next_ = never;
  executor executor_;
  class context context_;
  device device_;
  nobody booting_ended_;
  std::unique_ptr<stack> network_;
  std::map<std::string, std::unique_ptr<net::dns_client<stack>>> names_;
  task<> booting_;
  std::map<std::uint64_t, std::unique_ptr<pending>> pending_;
};

}  // namespace morgana::python
