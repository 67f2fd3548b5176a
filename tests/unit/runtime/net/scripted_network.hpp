// A net::stack in memory for tests of what is built on one: the test says what becomes of each datagram and
// of each connection, and when.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "fake_platform.hpp"
#include "morgana/core/channel.hpp"
#include "morgana/net/resolver.hpp"
#include "morgana/net/stack.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {

class scripted_network {
 public:
  struct reply {
    bytes message;
    duration delay{};
  };
  /// What answers a datagram to `to`; nothing: silence.
  std::function<std::vector<reply>(endpoint const& to, bytes const& message)> on_datagram;
  struct connection_plan {
    duration delay{};
    std::optional<net_error> problem;
    /// What the peer says to what was written so far; called after each write.
    std::function<bytes(bytes const& written)> answer;
  };
  std::function<connection_plan(endpoint const& to)> on_connect;

  address_list servers;
  [[nodiscard]] address_list name_servers() const { return servers; }
  std::vector<endpoint> connected;  ///< attempts, in order
  std::size_t bound = 0;            ///< sockets so far
  std::size_t open_streams = 0;

  class stream {
   public:
    struct state {
      scripted_network* in;
      endpoint peer;
      connection_plan plan;
      bytes written, readable;
      std::size_t read = 0;
      ~state() { --in->open_streams; }
    };
    stream() = default;
    explicit stream(std::unique_ptr<state> with) : state_(std::move(with)) {}
    task<result<std::size_t>> read(std::span<std::byte> into, instant) {
      // One byte less than asked for: readers must go on.
      auto const most =
          std::min(into.size() > 1 ? into.size() - 1 : 1, state_->readable.size() - state_->read);
      std::copy_n(state_->readable.begin() + static_cast<std::ptrdiff_t>(state_->read), most, into.begin());
      state_->read += most;
      co_return most;
    }
    task<result<void>> write(std::span<std::byte const> from, instant) {
      take(from);
      co_return result<void>();
    }
    task<result<void>> write(std::span<std::span<std::byte const> const> gathered, instant) {
      bytes all;
      for (auto const& one : gathered) all.insert(all.end(), one.begin(), one.end());
      take(all);
      co_return result<void>();
    }
    result<void> shutdown() { return {}; }
    void abort() noexcept {}
    [[nodiscard]] endpoint local() const { return {}; }
    [[nodiscard]] endpoint peer() const { return state_->peer; }

   private:
    void take(std::span<std::byte const> from) {
      state_->written.insert(state_->written.end(), from.begin(), from.end());
      if (!state_->plan.answer) return;
      auto const answer = state_->plan.answer(state_->written);
      state_->readable.insert(state_->readable.end(), answer.begin(), answer.end());
    }
    std::unique_ptr<state> state_;
  };

  class listener {
   public:
    using stream = scripted_network::stream;
    task<result<stream>> accept(instant) { co_return failure(net_error::not_connected); }
    [[nodiscard]] endpoint local() const { return {}; }
  };

  class datagram_socket {
   public:
    explicit datagram_socket(scripted_network& in) : in_(&in) {}
    task<result<void>> send(std::span<std::byte const> from, endpoint const& to, instant) {
      auto& here = co_await this_context();
      for (auto& one : in_->on_datagram(to, bytes(from.begin(), from.end()))) {
        waiting_.push_back({after(here.now(), one.delay), std::move(one.message), to});
      }
      co_return result<void>();
    }
    task<result<received_datagram>> receive(std::span<std::byte> into, instant deadline) {
      auto& here = co_await this_context();
      if (waiting_.empty() || waiting_.front().when > deadline) {
        co_await sleep_until(deadline);
        co_return failure(net_error::timed_out);
      }
      if (waiting_.front().when > here.now()) co_await sleep_until(waiting_.front().when);
      auto one = std::move(waiting_.front());
      waiting_.pop_front();
      auto const size = std::min(into.size(), one.message.size());
      std::copy_n(one.message.begin(), size, into.begin());
      co_return received_datagram{size, one.from, size < one.message.size()};
    }
    [[nodiscard]] endpoint local() const { return {}; }

   private:
    struct waiting {
      instant when;
      bytes message;
      endpoint from;
    };
    scripted_network* in_;
    std::deque<waiting> waiting_;
  };

  result<listener> listen(listen_options const&) { return listener(); }
  result<datagram_socket> bind(endpoint const&) {
    ++bound;
    return datagram_socket(*this);
  }
  task<result<stream>> connect(endpoint const& peer, instant deadline) {
    auto& here = co_await this_context();
    connected.push_back(peer);
    auto plan = on_connect ? on_connect(peer) : connection_plan{};
    auto const when = after(here.now(), plan.delay);
    co_await sleep_until(std::min(when, deadline));
    if (when > deadline) co_return failure(net_error::timed_out);
    if (plan.problem) co_return failure(*plan.problem);
    ++open_streams;
    co_return stream(std::unique_ptr<stream::state>(new stream::state{this, peer, std::move(plan), {}, {}}));
  }
};
static_assert(stack<scripted_network>);

}  // namespace morgana::net::testing
