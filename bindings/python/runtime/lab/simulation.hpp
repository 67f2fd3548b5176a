// A simulated world as Python uses it: hosts, cables, switches, routers and middleboxes under numbers, and
// operations that end in virtual time. Everything is checked here: whatever is passed, the answer is a value
// or a problem in words.
//
//   simulation all(7);
//   auto const one = all.add_stack({...});                  // a node
//   auto const cable = all.join(*one, *two, {}, {});        // takes a free port of each
//   auto const asked = all.connect(*one, {"10.0.0.2", 80}, {}, 5s);   // an operation: its outcome comes
//   later all.run(all.now() + 1s, {});                            // stops when something has an outcome for
//   (auto& one : all.take_finished()) ...
//
// It belongs to the thread and the process that made it; guests of all simulations belong to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/net/direct/options.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/sim/link.hpp"
#include "values.hpp"

namespace morgana::python {

using node_number = std::uint32_t;
using link_number = std::uint32_t;
using operation = std::uint64_t;

struct stack_description {
  std::string name;
  std::string mac;  ///< empty: drawn from the seed and the name
  bool offloads = false;
  net::direct_stack_options options;
};

struct guest_description {
  std::string name, image;
  std::vector<std::string> arguments;
  std::uint64_t memory_bytes = 64u << 20;
  struct network {
    std::string name;  ///< of the parameter of start()
    std::string mac;   ///< empty: drawn from the seed and the names
    std::uint32_t mtu_bytes = 1500;
  };
  std::vector<network> networks;  ///< each is a port, in order
  struct disk {
    std::string name, bytes;
    std::uint32_t sector_bytes = 512;
    bool read_only = false;
  };
  std::vector<disk> disks;
  std::string replay;  ///< how to see it again; in crash reports
};

struct router_description {
  struct port {
    std::string v4, v6;  ///< "10.0.0.1/24"; empty: none
    std::uint32_t mtu_bytes = 1500;
  };
  struct route {
    std::string to;
    std::uint32_t port = 0;
    std::string gateway;  ///< empty: on the link
  };
  std::string name;
  std::vector<port> ports;
  std::vector<route> routes;
  std::optional<std::uint32_t> translates_at;  ///< IPv4 that leaves through this port gets its address
};

/// A middlebox by its name, and the one or two numbers it takes.
struct box_description {
  std::string kind;
  std::vector<std::uint64_t> numbers;
};

struct dhcp_description {
  std::string subnet, first, last;
  duration lease = 1h;
  std::vector<std::string> routers, name_servers;
  std::uint16_t mtu_bytes = 0;
};

struct dhcp_lease {
  std::string address, mac, state;
};

struct guest_state {
  bool has_power = false, has_ended = false;
  int status = 0;
  std::string how, report;  ///< "finished", "crashed", "out of memory", "hung"
  std::uint64_t heap_bytes = 0, heap_bytes_max = 0, private_bytes = 0, dropped_frames = 0;
};

struct captured {
  instant at;
  std::uint32_t interface = 0;
  bool is_sent = false;
  std::string frame;
};

enum class stopped_by : std::uint8_t {
  outcome,      ///< something has one: take_finished()
  told,         ///< a guest printed or ended, or a frame came to a port of frames
  time,         ///< the end was reached
  idle,         ///< nothing is left to happen; the time is `end` all the same, unless it is `never`
  interrupted,  ///< the caller's question said so
};

class simulation {
 public:
  static constexpr std::size_t nodes_max = 65'536;
  static constexpr std::size_t captures_max = 64;
  /// Of one read, write, datagram or guest's memory: so that no number makes the process run out.
  static constexpr std::uint64_t bytes_max = std::uint64_t{1} << 30;

  explicit simulation(std::uint64_t seed);
  ~simulation();
  simulation(simulation const&) = delete;
  simulation& operator=(simulation const&) = delete;

  /// A problem when it was closed, runs, or belongs to another thread or process. Every other call asks it
  /// first.
  [[nodiscard]] answer<> usable() const;
  /// Ends everything; what was waited for is forgotten.
  answer<> close();
  [[nodiscard]] bool is_closed() const { return self_ == nullptr; }

  // ---- the world ---------------------------------------------------------------------------------------
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] answer<instant> now() const;
  [[nodiscard]] answer<std::uint64_t> trace_hash() const;
  [[nodiscard]] answer<std::uint64_t> frames_sent() const;
  [[nodiscard]] answer<std::uint64_t> events() const;

  [[nodiscard]] answer<node_number> add_stack(stack_description const& of);
  [[nodiscard]] answer<node_number> add_guest(guest_description of);
  [[nodiscard]] answer<node_number> add_raw(std::string const& name, std::size_t ports,
                                            std::string const& mac,
                                            std::vector<std::string> const& addresses);
  [[nodiscard]] answer<node_number> add_hub(std::string const& name);
  [[nodiscard]] answer<node_number> add_router(router_description const& of);
  [[nodiscard]] answer<node_number> add_box(std::string const& name, box_description const& of);

  static constexpr std::uint32_t next_port = UINT32_MAX;
  struct end {
    node_number node = 0;
    std::uint32_t port = next_port;  ///< the first that has no cable
  };
  /// `port_of` says which ports were taken.
  [[nodiscard]] answer<link_number> join(end a, end b, sim::link_settings const& from_a,
                                         sim::link_settings const& from_b);
  [[nodiscard]] answer<std::uint32_t> port_of(link_number which, node_number node) const;
  [[nodiscard]] answer<sim::link_settings> settings(link_number which, std::size_t side) const;
  answer<> set(link_number which, std::size_t side, sim::link_settings const& to);
  [[nodiscard]] answer<sim::link_counters> counters(link_number which, std::size_t side) const;

  answer<> keep_apart(node_number hub, std::uint32_t one, std::uint32_t other, bool apart);
  answer<> heal(node_number hub);
  answer<> rebind(node_number box);  ///< a translator forgets
  answer<> set_clock(node_number which, std::int32_t drift_millionths, duration late_by);
  answer<> jump(node_number which, duration ahead);
  /// As by pulling the plug, and switching on again. Sockets of before are closed.
  answer<> crash(node_number which);
  answer<> boot(node_number which);
  [[nodiscard]] answer<bool> has_power(node_number which) const;

  /// Until an outcome, `end`, or until `interrupted` (asked every few milliseconds) says so; when `told` also
  /// until a guest prints or ends, or a frame comes to a port of frames.
  [[nodiscard]] answer<stopped_by> run(instant end, bool told, std::function<bool()> const& interrupted);
  [[nodiscard]] std::vector<outcome> take_finished();
  /// Nobody waits for it any more; its coroutine is cancelled.
  answer<> cancel(operation which);

  // ---- real time ---------------------------------------------------------------------------------------
  /// A port that is a socket of Ethernet frames.
  [[nodiscard]] answer<node_number> add_descriptor(std::string const& name, int descriptor);
  /// From now on the world runs by itself, in a thread, until close(). run() then waits.
  answer<> run_in_real_time();
  [[nodiscard]] bool is_in_real_time() const;
  /// In real time every call is made between these. lock() is false when the world's own thread calls, in a
  /// filter for one, and when try_only found it busy.
  [[nodiscard]] bool lock(bool try_only);
  [[nodiscard]] bool is_held_here() const;
  void unlock();
  /// Ends the thread; nothing may be held that a filter waits for.
  void stop_real_time();

  // ---- frames ------------------------------------------------------------------------------------------
  answer<> send_frame(node_number raw, std::size_t port, std::string_view bytes);
  /// Gives a frame to a node as if it had arrived at that port.
  answer<> inject(node_number to, std::size_t port, std::string_view bytes);
  [[nodiscard]] answer<operation> fetch_frame(node_number raw);
  /// All that wait, without an operation.
  [[nodiscard]] answer<std::vector<arrival>> take_frames(node_number raw);
  /// A box with two ports: `pass` is given each frame and its port, and says what goes on at the other one;
  /// false ends run() as interrupted.
  using filter = std::function<bool(std::string_view, std::uint32_t, std::vector<std::string>&)>;
  [[nodiscard]] answer<node_number> add_filter(std::string const& name, filter pass);

  [[nodiscard]] answer<std::uint32_t> begin_capture(std::size_t bytes);
  answer<> capture_node(std::uint32_t which, node_number node);
  answer<> stop_capture(std::uint32_t which);
  [[nodiscard]] answer<std::string> pcapng(std::uint32_t which) const;
  [[nodiscard]] answer<std::vector<captured>> frames(std::uint32_t which, std::size_t first) const;
  [[nodiscard]] answer<std::vector<std::string>> interfaces(std::uint32_t which) const;
  [[nodiscard]] answer<std::uint64_t> capture_dropped(std::uint32_t which) const;

  // ---- a host with our stack -----------------------------------------------------------------------------
  [[nodiscard]] answer<operation> configured(node_number host, std::optional<duration> timeout);
  [[nodiscard]] answer<std::vector<std::string>> addresses(node_number host);  ///< with prefixes
  [[nodiscard]] answer<std::vector<std::string>> name_servers(node_number host);
  [[nodiscard]] answer<std::string> mac(node_number host);
  [[nodiscard]] answer<net::core_counters> core_counters(node_number host);
  [[nodiscard]] answer<net::tcp::engine_counters> tcp_counters(node_number host);
  [[nodiscard]] answer<std::size_t> connections(node_number host);
  [[nodiscard]] answer<std::string> log(node_number host);
  [[nodiscard]] answer<operation> ping(node_number host, std::string const& to, std::size_t payload_bytes,
                                       std::optional<duration> timeout);
  [[nodiscard]] answer<operation> resolve(node_number host, std::string const& name,
                                          std::string const& servers, net::address_family family,
                                          std::optional<duration> timeout);
  [[nodiscard]] answer<handle> serve_dhcp(node_number host, dhcp_description const& of);
  [[nodiscard]] answer<std::vector<dhcp_lease>> dhcp_leases(node_number host, handle which);

  [[nodiscard]] answer<handle> listen(node_number host, std::string const& address, std::uint16_t port,
                                      std::uint32_t backlog, net::tcp::settings const& with);
  [[nodiscard]] answer<operation> accept(node_number host, handle listener, std::optional<duration> timeout);
  [[nodiscard]] answer<operation> connect(node_number host, place const& to, net::tcp::settings const& with,
                                          std::optional<duration> timeout);
  /// Bytes: at least `least` of them unless the stream ends before, at most `most`. `counts`: how many, and
  /// they are gone.
  [[nodiscard]] answer<operation> read(node_number host, handle stream, std::uint64_t least,
                                       std::uint64_t most, bool counts, std::optional<duration> timeout);
  [[nodiscard]] answer<operation> write(node_number host, handle stream, std::string bytes,
                                        std::optional<duration> timeout);
  /// So many bytes, which Python need not make.
  [[nodiscard]] answer<operation> pour(node_number host, handle stream, std::uint64_t count,
                                       std::optional<duration> timeout);
  answer<> shutdown(node_number host, handle stream);
  answer<> abort(node_number host, handle stream);
  [[nodiscard]] answer<net::tcp::information> info(node_number host, handle stream);
  [[nodiscard]] answer<net::tcp::settings> options(node_number host, handle stream);
  answer<> set_options(node_number host, handle stream, net::tcp::settings const& to);

  [[nodiscard]] answer<handle> bind(node_number host, place const& local);
  [[nodiscard]] answer<operation> receive(node_number host, handle socket, std::optional<duration> timeout);
  [[nodiscard]] answer<operation> send(node_number host, handle socket, std::string bytes, place const& to,
                                       std::optional<duration> timeout);

  [[nodiscard]] answer<place> local(node_number host, handle socket);
  [[nodiscard]] answer<place> peer(node_number host, handle stream);
  /// Of any socket; nothing when it is closed already.
  answer<> close(node_number host, handle socket);

  // ---- a guest -------------------------------------------------------------------------------------------
  [[nodiscard]] answer<guest_state> guest(node_number which) const;
  [[nodiscard]] answer<std::string> console(node_number which, std::size_t from) const;
  answer<> request_stop(node_number which);

 private:
  [[nodiscard]] answer<stopped_by> wait(instant end, bool told, std::function<bool()> const& interrupted);
  struct state;
  std::uint64_t seed_;
  std::unique_ptr<state> self_;
};

}  // namespace morgana::python
