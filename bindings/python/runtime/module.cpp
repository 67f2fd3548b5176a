// The extension module `_runtime`: stacks and simulated worlds, in this process. Private: the classes that
// people use are written in Python, over this.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <tuple>

#include "convert.hpp"
#include "lab/simulation.hpp"

namespace morgana::python {
namespace {

/// Times in Python count from the world's begin.
std::int64_t to_python(instant at) {
  return at.time_since_epoch().count() - 1'000'000'000;
}
instant from_python(std::int64_t ns) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  if (ns > most) return never;
  return instant(duration(std::max<std::int64_t>(ns, 0) + 1'000'000'000));
}

using python_end = std::pair<node_number, std::int64_t>;
simulation::end end_of(python_end const& from) {
  if (from.second < 0) return {from.first};
  return {from.first, static_cast<std::uint32_t>(std::min<std::int64_t>(from.second, UINT32_MAX - 1))};
}

/// What Python's signals and threads have to say while a world runs without Python's lock.
class attention {
 public:
  /// True: an exception waits to be raised.
  [[nodiscard]] bool is_asked_for() const {
    py::gil_scoped_acquire const here;
    return PyErr_CheckSignals() != 0;
  }
};

class world {
 public:
  explicit world(std::uint64_t seed) : all_(seed) {}

  ~world() { end_thread(); }
  world(world const&) = delete;
  world& operator=(world const&) = delete;

  /// One call into the simulation, which in real time takes turns with its thread.
  class access {
   public:
    explicit access(simulation& to) : to_(&to) {
      if (!to.is_in_real_time() || to.is_held_here()) return;
      is_locked_ = to.lock(true);
      if (is_locked_) return;
      // A filter may want Python's lock while its thread has the turn.
      py::gil_scoped_release const free;
      is_locked_ = to.lock(false);
    }
    access(access const&) = delete;
    access& operator=(access const&) = delete;
    ~access() {
      if (is_locked_) to_->unlock();
    }
    simulation* operator->() const { return to_; }

   private:
    simulation* to_;
    bool is_locked_ = false;
  };
  access operator->() { return access(all_); }
  [[nodiscard]] std::uint64_t seed() const { return all_.seed(); }
  [[nodiscard]] bool is_closed() const { return all_.is_closed(); }
  void close() {
    end_thread();
    unwrap(all_.close());
  }

  std::tuple<std::string, std::int64_t> run(std::int64_t until, bool told) {
    answer<stopped_by> ended = stopped_by::time;
    bool raised = false;
    {
      access const turn(all_);
      py::gil_scoped_release const free;
      attention const ask;
      ended = all_.run(from_python(until), told, [&] { return raised = ask.is_asked_for(); });
    }
    if (raised || filter_raised_) {
      if (filter_raised_) std::exchange(filter_raised_, nullptr)->restore();
      throw py::error_already_set();
    }
    auto const how = unwrap(std::move(ended));
    constexpr char const* names[] = {"outcome", "told", "time", "idle", "interrupted"};
    return {names[static_cast<std::size_t>(how)], to_python(unwrap((*this)->now()))};
  }

  py::list take_finished() {
    py::list made;
    for (auto const& one : (*this)->take_finished()) {
      made.append(one.failed ? py::make_tuple(one.operation, false, exception_of(*one.failed))
                             : py::make_tuple(one.operation, true, object_of(one.given)));
    }
    return made;
  }

  node_number add_filter(std::string const& name, py::function function) {
    auto const kept = std::make_shared<py::function>(std::move(function));
    return unwrap((*this)->add_filter(
        name, [this, kept](std::string_view frame, std::uint32_t port, std::vector<std::string>& onward) {
          py::gil_scoped_acquire const here;
          try {
            auto const said = (*kept)(py::bytes(frame.data(), frame.size()), port);
            if (said.is_none()) return true;
            if (py::isinstance<py::bytes>(said)) {
              onward.push_back(said.cast<std::string>());
            } else {
              onward = said.cast<std::vector<std::string>>();
            }
            for (auto const& one : onward) {
              if (one.size() < 14 || one.size() > 65'553)
                throw py::value_error("a frame has 14 to 65553 bytes");
            }
            return true;
          } catch (py::error_already_set& raised) {
            filter_raised_ = std::make_unique<py::error_already_set>(std::move(raised));
          } catch (std::exception const& other) {
            PyErr_SetString(PyExc_TypeError, other.what());
            filter_raised_ = std::make_unique<py::error_already_set>();
          }
          return false;
        }));
  }

 private:
  void end_thread() {
    if (!all_.is_in_real_time()) return;
    py::gil_scoped_release const free;
    all_.stop_real_time();
  }

  std::unique_ptr<py::error_already_set> filter_raised_;
  simulation all_;
};

using seconds = std::optional<double>;

std::string name_of(py::handle what) {
  return py::str(what).cast<std::string>();
}

guest_description guest_of(
    std::string name, std::string image, std::vector<std::string> arguments, std::uint64_t memory_bytes,
    std::vector<std::tuple<std::string, std::optional<py::bytes>, std::uint32_t>> const& networks,
    std::vector<std::tuple<std::string, py::bytes, std::uint32_t, bool>> const& disks, std::string replay) {
  guest_description made;
  made.name = std::move(name);
  made.image = std::move(image);
  made.arguments = std::move(arguments);
  made.memory_bytes = memory_bytes;
  made.replay = std::move(replay);
  for (auto const& [called, mac, mtu] : networks) {
    std::string text;
    if (mac) {
      auto const bytes = std::string(*mac);
      if (bytes.size() != 6) throw py::value_error("an Ethernet address has six bytes");
      constexpr char digits[] = "0123456789abcdef";
      for (char const letter : bytes) {
        auto const one = static_cast<unsigned char>(letter);
        if (!text.empty()) text += ':';
        text += digits[one >> 4];
        text += digits[one & 15];
      }
    }
    made.networks.push_back({called, text, mtu});
  }
  for (auto const& [called, bytes, sector, read_only] : disks) {
    made.disks.push_back({called, std::string(bytes), sector, read_only});
  }
  return made;
}

box_description box_of(std::string const& kind, py::dict const& settings) {
  // By the names of the classes of morgana/sim/middlebox.hpp, and of their settings.
  struct known {
    char const *name, *kind;
    std::vector<char const*> settings;
  };
  static auto const& all = *new std::vector<known>{
      {"option_stripper", "strip_option", {"kind"}},
      {"mss_clamper", "clamp_mss", {"bytes"}},
      {"ecn_bleacher", "clear_ecn", {}},
      {"segment_splitter", "split", {"bytes"}},
      {"segment_coalescer", "coalesce", {"bytes", "hold_ns"}},
      {"reset_injector", "reset", {"millionths", "within_window"}},
      {"port_translator", "translate_ports", {}},
      {"syn_proxy", "syn_proxy", {}},
  };
  for (auto const& one : all) {
    if (kind != one.name) continue;
    box_description made{one.kind, std::vector<std::uint64_t>(one.settings.size())};
    for (auto const& [key, value] : settings) {
      auto const name = name_of(key);
      std::size_t at = 0;
      while (at < one.settings.size() && name != one.settings[at]) ++at;
      if (at == one.settings.size()) throw py::value_error(kind + " has no setting \"" + name + "\"");
      try {
        made.numbers[at] = value.cast<std::uint64_t>();
      } catch (py::cast_error const&) {
        throw py::value_error(kind + ": " + name + " is a whole number");
      }
    }
    return made;
  }
  std::string names;
  for (auto const& one : all) names += (names.empty() ? "" : ", ") + std::string(one.name);
  throw py::value_error("there is no middlebox \"" + kind + "\"; there are: " + names);
}

router_description router_of(std::string const& name, std::vector<py::dict> const& ports,
                             std::vector<py::dict> const& routes,
                             std::optional<std::uint32_t> translates_at) {
  router_description made;
  made.name = name;
  made.translates_at = translates_at;
  auto const text = [](py::dict const& from, char const* key) {
    return from.contains(key) ? from[key].cast<std::string>() : std::string();
  };
  for (auto const& one : ports) {
    made.ports.push_back({text(one, "ipv4"), text(one, "ipv6")});
    if (one.contains("mtu")) made.ports.back().mtu_bytes = one["mtu"].cast<std::uint32_t>();
  }
  for (auto const& one : routes) {
    made.routes.push_back({text(one, "to"), one.contains("port") ? one["port"].cast<std::uint32_t>() : 0,
                           text(one, "gateway")});
  }
  return made;
}

net::tcp::settings tcp_of(py::dict const& from) {
  net::tcp::settings made;
  update(made, from);
  return made;
}

void add_nodes(py::class_<world>& c) {
  c.def("add_stack", [](world& w, std::string const& name, py::dict const& options) {
    return unwrap(w->add_stack(stack_of(name, options)));
  });
  c.def(
      "add_guest",
      [](world& w, std::string name, std::string image, std::vector<std::string> arguments,
         std::uint64_t memory,
         std::vector<std::tuple<std::string, std::optional<py::bytes>, std::uint32_t>> const& networks,
         std::vector<std::tuple<std::string, py::bytes, std::uint32_t, bool>> const& disks,
         std::string replay) {
        return unwrap(w->add_guest(guest_of(std::move(name), std::move(image), std::move(arguments), memory,
                                            networks, disks, std::move(replay))));
      },
      py::arg("name"), py::arg("image"), py::arg("arguments"), py::arg("memory_bytes"), py::arg("networks"),
      py::arg("disks"), py::arg("replay"));
  c.def(
      "add_switch", [](world& w, std::string const& name, std::uint32_t) { return unwrap(w->add_hub(name)); },
      py::arg("name"), py::arg("ports") = 0);
  c.def(
      "add_port",
      [](world& w, std::string const& name, std::string const& mac, std::vector<std::string> const& addresses,
         std::size_t ports) { return unwrap(w->add_raw(name, ports, mac, addresses)); },
      py::arg("name"), py::arg("mac") = "", py::arg("addresses") = std::vector<std::string>(),
      py::arg("ports") = 1);
  c.def(
      "add_router",
      [](world& w, std::string const& name, std::vector<py::dict> const& ports,
         std::vector<py::dict> const& routes, std::optional<std::uint32_t> translates_at) {
        return unwrap(w->add_router(router_of(name, ports, routes, translates_at)));
      },
      py::arg("name"), py::arg("ports"), py::arg("routes"), py::arg("translates_at") = std::nullopt);
  c.def("add_box", [](world& w, std::string const& name, std::string const& kind, py::dict const& settings) {
    return unwrap(w->add_box(name, box_of(kind, settings)));
  });
  c.def("add_filter", &world::add_filter);

  c.def("join", [](world& w, python_end const& a, python_end const& b, py::dict const& settings) {
    sim::link_settings both;
    update(both, settings);
    return unwrap(w->join(end_of(a), end_of(b), both, both));
  });
  c.def("port_of",
        [](world& w, link_number link, node_number node) { return unwrap(w->port_of(link, node)); });
  c.def(
      "change_link",
      [](world& w, link_number link, py::dict const& settings, std::optional<std::size_t> side) {
        if (side && *side > 1) throw py::value_error("a cable has the sides 0 and 1");
        for (std::size_t i = 0; i < 2; ++i) {
          if (side && *side != i) continue;
          auto changed = unwrap(w->settings(link, i));
          update(changed, settings);
          unwrap(w->set(link, i, changed));
        }
      },
      py::arg("link"), py::arg("settings"), py::arg("side") = std::nullopt);
  c.def("link_settings", [](world& w, link_number link, std::size_t side) {
    return dict_of(unwrap(w->settings(link, side)));
  });
  c.def("link_counters", [](world& w, link_number link, std::size_t side) {
    return dict_of(unwrap(w->counters(link, side)));
  });
  c.def("keep_apart", [](world& w, node_number hub, std::uint32_t one, std::uint32_t other, bool apart) {
    unwrap(w->keep_apart(hub, one, other, apart));
  });
  c.def("heal", [](world& w, node_number hub) { unwrap(w->heal(hub)); });
  c.def("rebind", [](world& w, node_number box) { unwrap(w->rebind(box)); });
  c.def("set_clock", [](world& w, node_number node, std::int32_t drift, std::int64_t late_ns) {
    unwrap(w->set_clock(node, drift, duration(late_ns)));
  });
  c.def("jump", [](world& w, node_number node, std::int64_t ns) { unwrap(w->jump(node, duration(ns))); });
  c.def("kill", [](world& w, node_number node) { unwrap(w->crash(node)); });
  c.def("boot", [](world& w, node_number node) { unwrap(w->boot(node)); });
  c.def("has_power", [](world& w, node_number node) { return unwrap(w->has_power(node)); });
}

void add_frames(py::class_<world>& c) {
  c.def(
      "send",
      [](world& w, node_number node, py::bytes const& frame, std::size_t port) {
        unwrap(w->send_frame(node, port, std::string_view(frame)));
      },
      py::arg("node"), py::arg("frame"), py::arg("port") = 0);
  c.def(
      "inject",
      [](world& w, node_number node, py::bytes const& frame, std::size_t port) {
        unwrap(w->inject(node, port, std::string_view(frame)));
      },
      py::arg("node"), py::arg("frame"), py::arg("port") = 0);
  c.def("fetch", [](world& w, node_number node) { return unwrap(w->fetch_frame(node)); });
  c.def("take", [](world& w, node_number node) {
    py::list made;
    for (auto const& one : unwrap(w->take_frames(node)))
      made.append(py::make_tuple(to_python(one.at), py::bytes(one.bytes)));
    return made;
  });
  c.def("begin_capture", [](world& w, std::size_t bytes_max) { return unwrap(w->begin_capture(bytes_max)); });
  c.def("capture_node",
        [](world& w, std::uint32_t which, node_number node) { unwrap(w->capture_node(which, node)); });
  c.def("stop_capture", [](world& w, std::uint32_t which) { unwrap(w->stop_capture(which)); });
  c.def("pcapng", [](world& w, std::uint32_t which) { return py::bytes(unwrap(w->pcapng(which))); });
  c.def("captured", [](world& w, std::uint32_t which, std::size_t first) {
    py::list made;
    for (auto const& one : unwrap(w->frames(which, first))) {
      made.append(py::make_tuple(to_python(one.at), one.interface, one.is_sent, py::bytes(one.frame)));
    }
    return made;
  });
  c.def("interfaces", [](world& w, std::uint32_t which) { return unwrap(w->interfaces(which)); });
  c.def("capture_dropped", [](world& w, std::uint32_t which) { return unwrap(w->capture_dropped(which)); });
}

void add_hosts(py::class_<world>& c) {
  c.def("configured", [](world& w, node_number host, seconds const& timeout) {
    return unwrap(w->configured(host, timeout_of(timeout)));
  });
  c.def("addresses", [](world& w, node_number host) { return unwrap(w->addresses(host)); });
  c.def("name_servers", [](world& w, node_number host) { return unwrap(w->name_servers(host)); });
  c.def("mac", [](world& w, node_number host) { return unwrap(w->mac(host)); });
  c.def("core_counters", [](world& w, node_number host) { return dict_of(unwrap(w->core_counters(host))); });
  c.def("tcp_counters", [](world& w, node_number host) { return dict_of(unwrap(w->tcp_counters(host))); });
  c.def("connections", [](world& w, node_number host) { return unwrap(w->connections(host)); });
  c.def("log", [](world& w, node_number host) { return unwrap(w->log(host)); });
  c.def("ping", [](world& w, node_number host, std::string const& to, std::size_t bytes,
                   seconds const& timeout) { return unwrap(w->ping(host, to, bytes, timeout_of(timeout))); });
  c.def("resolve", [](world& w, node_number host, std::string const& name, std::string const& servers,
                      int family, seconds const& timeout) {
    if (family != 0 && family != 4 && family != 6) throw py::value_error("a family is 4, 6, or 0 for both");
    auto const which = family == 4   ? net::address_family::v4
                       : family == 6 ? net::address_family::v6
                                     : net::address_family::any;
    return unwrap(w->resolve(host, name, servers, which, timeout_of(timeout)));
  });
  c.def("serve_dhcp", [](world& w, node_number host, std::string const& subnet, std::string const& first,
                         std::string const& last, double lease, std::vector<std::string> const& routers,
                         std::vector<std::string> const& name_servers, std::uint16_t mtu) {
    dhcp_description made{subnet, first, last, *timeout_of(lease), routers, name_servers, mtu};
    return unwrap(w->serve_dhcp(host, made));
  });
  c.def("dhcp_leases", [](world& w, node_number host, handle server) {
    py::list made;
    for (auto const& one : unwrap(w->dhcp_leases(host, server)))
      made.append(py::make_tuple(one.address, one.mac, one.state));
    return made;
  });

  c.def("listen", [](world& w, node_number host, std::string const& address, std::uint16_t port,
                     std::uint32_t backlog, py::dict const& settings) {
    return unwrap(w->listen(host, address, port, backlog, tcp_of(settings)));
  });
  c.def("accept", [](world& w, node_number host, handle listener, seconds const& timeout) {
    return unwrap(w->accept(host, listener, timeout_of(timeout)));
  });
  c.def("connect", [](world& w, node_number host, std::string const& address, std::uint16_t port,
                      py::dict const& settings, seconds const& timeout) {
    return unwrap(w->connect(host, {address, port}, tcp_of(settings), timeout_of(timeout)));
  });
  c.def("read", [](world& w, node_number host, handle stream, std::uint64_t least, std::uint64_t most,
                   bool counts, seconds const& timeout) {
    return unwrap(w->read(host, stream, least, most, counts, timeout_of(timeout)));
  });
  c.def("write",
        [](world& w, node_number host, handle stream, py::bytes const& bytes, seconds const& timeout) {
          return unwrap(w->write(host, stream, std::string(bytes), timeout_of(timeout)));
        });
  c.def("pour", [](world& w, node_number host, handle stream, std::uint64_t count, seconds const& timeout) {
    return unwrap(w->pour(host, stream, count, timeout_of(timeout)));
  });
  c.def("shutdown", [](world& w, node_number host, handle stream) { unwrap(w->shutdown(host, stream)); });
  c.def("abort", [](world& w, node_number host, handle stream) { unwrap(w->abort(host, stream)); });
  c.def("info",
        [](world& w, node_number host, handle stream) { return dict_of(unwrap(w->info(host, stream))); });
  c.def("options",
        [](world& w, node_number host, handle stream) { return dict_of(unwrap(w->options(host, stream))); });
  c.def("set_options", [](world& w, node_number host, handle stream, py::dict const& settings) {
    auto changed = unwrap(w->options(host, stream));
    update(changed, settings);
    unwrap(w->set_options(host, stream, changed));
  });
  c.def("bind", [](world& w, node_number host, std::string const& address, std::uint16_t port) {
    return unwrap(w->bind(host, {address, port}));
  });
  c.def("receive", [](world& w, node_number host, handle socket, seconds const& timeout) {
    return unwrap(w->receive(host, socket, timeout_of(timeout)));
  });
  c.def("send_datagram", [](world& w, node_number host, handle socket, py::bytes const& bytes,
                            std::string const& address, std::uint16_t port, seconds const& timeout) {
    return unwrap(w->send(host, socket, std::string(bytes), {address, port}, timeout_of(timeout)));
  });
  c.def("local", [](world& w, node_number host, handle socket) {
    auto const at = unwrap(w->local(host, socket));
    return std::make_pair(at.address, at.port);
  });
  c.def("peer", [](world& w, node_number host, handle stream) {
    auto const at = unwrap(w->peer(host, stream));
    return std::make_pair(at.address, at.port);
  });
  c.def("close_socket", [](world& w, node_number host, handle socket) { unwrap(w->close(host, socket)); });
}

void add_guests(py::class_<world>& c) {
  c.def("guest_console", [](world& w, node_number node, std::size_t offset) {
    return py::bytes(unwrap(w->console(node, offset)));
  });
  c.def("guest_end", [](world& w, node_number node) -> py::object {
    auto const state = unwrap(w->guest(node));
    if (!state.has_ended) return py::none();
    return py::make_tuple(state.how, state.status, state.report);
  });
  c.def("guest_stop", [](world& w, node_number node) { unwrap(w->request_stop(node)); });
  c.def("guest_memory", [](world& w, node_number node) {
    auto const state = unwrap(w->guest(node));
    py::dict made;
    made["heap_bytes"] = state.heap_bytes;
    made["heap_bytes_max"] = state.heap_bytes_max;
    made["private_bytes"] = state.private_bytes;
    made["dropped_frames"] = state.dropped_frames;
    return made;
  });
}

}  // namespace
}  // namespace morgana::python

PYBIND11_MODULE(_runtime, m) {
  namespace py = pybind11;
  using namespace morgana::python;
  m.doc() = "Stacks and simulated worlds in this process. Private: use the classes of `morgana`.";
  py::class_<world> c(
      m, "World",
      "Nodes and links under numbers; times are nanoseconds since the world's begin, timeouts seconds or "
      "None. What takes virtual time gives an operation: run() returns when one has an outcome, "
      "take_finished() gives it. ValueError: a value that makes no sense; RuntimeError: a world that is "
      "closed, runs, or belongs to another thread or process; OSError: what a connection meets.");
  c.def(py::init<std::uint64_t>(), py::arg("seed"));
  c.def_property_readonly("seed", [](world& w) { return w.seed(); });
  c.def_property_readonly("now", [](world& w) { return to_python(unwrap(w->now())); });
  c.def_property_readonly("trace_hash", [](world& w) { return unwrap(w->trace_hash()); });
  c.def_property_readonly("frames_sent", [](world& w) { return unwrap(w->frames_sent()); });
  c.def_property_readonly("events", [](world& w) { return unwrap(w->events()); });
  c.def_property_readonly("is_closed", [](world& w) { return w.is_closed(); });
  c.def("run", &world::run, py::arg("until"), py::arg("told") = false);
  c.def("add_descriptor", [](world& w, std::string const& name, int descriptor) {
    return unwrap(w->add_descriptor(name, descriptor));
  });
  c.def("run_in_real_time", [](world& w) { unwrap(w->run_in_real_time()); });
  c.def("take_finished", &world::take_finished);
  c.def("cancel", [](world& w, operation which) { unwrap(w->cancel(which)); });
  c.def("close", &world::close);
  add_nodes(c);
  add_frames(c);
  add_hosts(c);
  add_guests(c);
}
