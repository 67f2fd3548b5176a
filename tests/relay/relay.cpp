// morgana-relay: a link of the simulator between two real ends, in real time.
//
//   morgana-relay FD_A FD_B [--seed N] [--delay-us N] [--loss-ppm N] [--duplicate-ppm N] [--reorder-ppm N]
//                 [--reorder-us N] [--corrupt-ppm N] [--rate-mbit N] [--queue-kib N] [--seconds N]
//
// Each descriptor gives one Ethernet frame a message: a tap interface without offloads, or a SOCK_SEQPACKET or
// SOCK_DGRAM socket. What happens to the n-th frame of a direction depends on the seed and on n alone, so two pairs of
// ends meet the same faults. Ends at SIGTERM, when an end is gone, or after --seconds, and says what passed.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <queue>
#include <string_view>
#include <vector>

#include "direction.hpp"

namespace {

using namespace morgana;

constexpr std::size_t frame_bytes_max = 65'536;
constexpr std::size_t held_frames_max = 65'536;   ///< under way in one direction; more are dropped, and counted
constexpr int burst_max = 64;                     ///< frames read from one end before the other has its turn

volatile sig_atomic_t stopping = 0;

instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return instant(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

[[noreturn]] void fail(char const* what, std::string_view which) {
  ::fprintf(stderr, "morgana-relay: %s: %.*s\n", what, static_cast<int>(which.size()), which.data());
  ::exit(2);
}

template <class N>
N number(std::string_view text, std::string_view of) {
  N value{};
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) fail("no number that fits", of);
  return value;
}

/// A frame on its way; of those with the same arrival, what was sent first arrives first.
struct under_way {
  instant arrives;
  std::uint64_t order;
  std::vector<std::byte> bytes;
  friend bool operator<(under_way const& a, under_way const& b) {
    return a.arrives != b.arrives ? a.arrives > b.arrives : a.order > b.order;
  }
};

class one_way {
 public:
  one_way(int from, int to, sim::link_settings const& with, sim::random_source const& random)
      : from_(from), to_(to), link_(with, random, now()), room_(frame_bytes_max) {}

  /// False when the end is gone.
  bool take() {
    for (int i = 0; i < burst_max; ++i) {
      auto const count = ::read(from_, room_.data(), room_.size());
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      if (count == 0) return false;
      sim::frame sent;
      sent.bytes.assign(room_.begin(), room_.begin() + count);
      auto const verdict = link_.pass(sent, now());
      for (std::uint8_t n = 0; n < verdict.copies; ++n) {
        if (held_.size() >= held_frames_max) {
          ++refused;
          continue;
        }
        auto const is_last = n + 1 == verdict.copies;
        held_.push({verdict.at[n], order_++, is_last ? std::move(sent.bytes) : sent.bytes});
      }
    }
    return true;
  }

  /// Hands on what has arrived by now.
  void give() {
    auto const by = now();
    while (!held_.empty() && held_.top().arrives <= by) {
      auto const& bytes = held_.top().bytes;
      // An end without room loses the frame, as a receiver's full ring does.
      if (::write(to_, bytes.data(), bytes.size()) < 0) ++refused;
      held_.pop();
    }
  }

  [[nodiscard]] instant next() const { return held_.empty() ? never : held_.top().arrives; }
  void report(char const* name) const {
    auto const& c = link_.counters;
    ::printf("%s: %llu frames, %llu lost, %llu queue-full, %llu duplicated, %llu reordered, %llu corrupted, %llu refused\n",
             name, static_cast<unsigned long long>(c.sent), static_cast<unsigned long long>(c.lost),
             static_cast<unsigned long long>(c.queue_full), static_cast<unsigned long long>(c.duplicated),
             static_cast<unsigned long long>(c.reordered), static_cast<unsigned long long>(c.corrupted),
             static_cast<unsigned long long>(refused));
  }

  std::uint64_t refused = 0;

 private:
  int from_, to_;
  sim::link_direction link_;
  std::vector<std::byte> room_;
  std::priority_queue<under_way> held_;
  std::uint64_t order_ = 0;
};

}  // namespace

int main(int count, char** given) {
  std::vector<std::string_view> const words(given + 1, given + count);
  if (words.size() < 2 || words.size() % 2 != 0) {
    fail("usage: morgana-relay FD_A FD_B [--seed N] [--delay-us N] [--loss-ppm N] ...; an option lacks its value, or",
         "there are not two descriptors");
  }
  int const ends[2] = {number<int>(words[0], words[0]), number<int>(words[1], words[1])};
  std::uint64_t seed = 1;
  auto until = never;
  sim::link_settings with;
  for (std::size_t i = 2; i < words.size(); i += 2) {
    auto const name = words[i];
    auto const value = number<std::uint32_t>(words[i + 1], name);
    if (name == "--seed") seed = value;
    else if (name == "--delay-us") with.delay = std::chrono::microseconds(value);
    else if (name == "--loss-ppm") with.loss_millionths = value;
    else if (name == "--duplicate-ppm") with.duplicate_millionths = value;
    else if (name == "--reorder-ppm") with.reorder_millionths = value;
    else if (name == "--reorder-us") with.reorder_delay = std::chrono::microseconds(value);
    else if (name == "--corrupt-ppm") with.corrupt_millionths = value;
    else if (name == "--rate-mbit") with.bits_per_s = std::uint64_t{value} * 1'000'000;
    else if (name == "--queue-kib") with.queue_bytes = value * 1024;
    else if (name == "--seconds") until = after(now(), std::chrono::seconds(value));
    else fail("unknown option", name);
  }
  for (auto const end : ends) {
    auto const flags = ::fcntl(end, F_GETFL);
    if (flags < 0 || ::fcntl(end, F_SETFL, flags | O_NONBLOCK) != 0) fail(::strerror(errno), "a descriptor");
  }
  struct sigaction action{};
  action.sa_handler = [](int) { stopping = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  sim::random_source const random(seed, "relay");
  one_way ways[2] = {{ends[0], ends[1], with, random.fork("a to b")}, {ends[1], ends[0], with, random.fork("b to a")}};
  ::printf("relaying, seed %llu\n", static_cast<unsigned long long>(seed));
  ::fflush(stdout);
  for (bool open = true; open && stopping == 0 && now() < until;) {
    auto const next = std::min({ways[0].next(), ways[1].next(), until});
    timespec timeout{};
    auto const left = next == never ? duration(100ms) : std::clamp(duration(next - now()), duration(0ns), duration(100ms));
    timeout.tv_nsec = static_cast<long>(left.count());
    pollfd waited[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
    if (::ppoll(waited, 2, &timeout, nullptr) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; ++i) {
      if ((waited[i].revents & POLLIN) != 0) open = ways[i].take() && open;
      else if ((waited[i].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) open = false;
    }
    for (auto& way : ways) way.give();
  }
  ways[0].report("a to b");
  ways[1].report("b to a");
  return 0;
}
