#include "convert.hpp"

#include <cmath>
#include <map>
#include <variant>

namespace morgana::python {

py::object exception_of(problem const& from) {
  switch (from.what) {
    case problem::kind::wrong_use:
      return py::reinterpret_borrow<py::object>(PyExc_RuntimeError)(from.text);
    case problem::kind::bad_value:
      return py::reinterpret_borrow<py::object>(PyExc_ValueError)(from.text);
    case problem::kind::name: {
      auto const socket = py::module_::import("socket");
      return socket.attr("gaierror")(socket.attr("EAI_NONAME"), from.text);
    }
    case problem::kind::connection:
      break;
  }
  return py::reinterpret_borrow<py::object>(PyExc_OSError)(from.number, from.text);
}

void raise(problem const& from) {
  auto const made = exception_of(from);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  throw py::error_already_set();
}

std::optional<duration> timeout_of(std::optional<double> const& seconds) {
  if (!seconds) return std::nullopt;
  if (std::isnan(*seconds) || *seconds < 0)
    throw py::value_error("a timeout is a number of seconds, 0 or more");
  constexpr double most = 1e9;
  return duration(static_cast<duration::rep>(std::llround(std::min(*seconds, most) * 1e9)));
}

namespace {

/// A field of a struct under its name: how Python reads and writes it.
template <class Struct>
struct field {
  std::function<py::object(Struct const&)> get;
  std::function<void(Struct&, py::handle)> set;
};
template <class Struct>
using fields = std::map<std::string, field<Struct>>;

template <class Struct, class Value>
field<Struct> plain(Value Struct::*at) {
  return {[at](Struct const& from) -> py::object { return py::cast(from.*at); },
          [at](Struct& into, py::handle value) { into.*at = value.cast<Value>(); }};
}

/// Nanoseconds.
template <class Struct>
field<Struct> nanoseconds(duration Struct::*at) {
  return {[at](Struct const& from) -> py::object { return py::int_((from.*at).count()); },
          [at](Struct& into, py::handle value) { into.*at = duration(value.cast<std::int64_t>()); }};
}

/// Seconds.
template <class Struct>
field<Struct> seconds(duration Struct::*at) {
  return {[at](Struct const& from) -> py::object {
            return py::float_(static_cast<double>((from.*at).count()) / 1e9);
          },
          [at](Struct& into, py::handle value) {
            auto const given = timeout_of(value.cast<double>());
            into.*at = *given;
          }};
}

/// An enum by its names, in order.
template <class Struct, class Enum>
field<Struct> named(Enum Struct::*at, std::vector<std::string> names) {
  return {[at, names](Struct const& from) -> py::object {
            return py::str(names[static_cast<std::size_t>(from.*at)]);
          },
          [at, names](Struct& into, py::handle value) {
            auto const text = value.cast<std::string>();
            for (std::size_t i = 0; i < names.size(); ++i) {
              if (names[i] == text) return void(into.*at = static_cast<Enum>(i));
            }
            throw py::value_error("\"" + text + "\" is none of the choices");
          }};
}

template <class Struct>
void update_all(Struct& settings, py::dict const& from, fields<Struct> const& all) {
  for (auto const& [key, value] : from) {
    auto const name = py::str(key).cast<std::string>();
    auto const found = all.find(name);
    if (found == all.end()) {
      std::string known;
      for (auto const& [one, ignored] : all) known += (known.empty() ? "" : ", ") + one;
      throw py::value_error("there is no setting \"" + name + "\"; there are: " + known);
    }
    try {
      found->second.set(settings, value);
    } catch (py::cast_error const&) {
      throw py::value_error("setting \"" + name + "\": " + py::repr(value).cast<std::string>() +
                            " is no value for it");
    }
  }
}

template <class Struct>
py::dict dict_of_all(Struct const& from, fields<Struct> const& all) {
  py::dict made;
  for (auto const& [name, one] : all) made[py::str(name)] = one.get(from);
  return made;
}

#define FIELD(name) \
  { #name, plain(&self::name) }

fields<sim::link_settings> const& link_fields() {
  using self = sim::link_settings;
  static auto const& all = *new fields<self>{
      {"delay_ns", nanoseconds(&self::delay)},
      {"delay_extra_ns", nanoseconds(&self::delay_extra)},
      {"reorder_delay_ns", nanoseconds(&self::reorder_delay)},
      {"up_for_ns", nanoseconds(&self::up_for)},
      {"down_for_ns", nanoseconds(&self::down_for)},
      {"codel_target_ns", nanoseconds(&self::codel_target)},
      {"codel_interval_ns", nanoseconds(&self::codel_interval)},
      {"queue", named(&self::queue, {"drop_tail", "ecn_mark", "codel"})},
      FIELD(bits_per_s),
      FIELD(queue_bytes),
      FIELD(ecn_threshold_bytes),
      FIELD(loss_millionths),
      FIELD(burst_begin_millionths),
      FIELD(burst_end_millionths),
      FIELD(burst_loss_millionths),
      FIELD(duplicate_millionths),
      FIELD(reorder_millionths),
      FIELD(corrupt_millionths),
      FIELD(mtu_bytes),
      FIELD(is_cut),
      FIELD(is_held),
  };
  return all;
}

fields<net::tcp::settings> const& tcp_fields() {
  using self = net::tcp::settings;
  static auto const& all = *new fields<self>{
      {"keepalive_idle", seconds(&self::keepalive_idle)},
      {"keepalive_interval", seconds(&self::keepalive_interval)},
      {"user_timeout", seconds(&self::user_timeout)},
      {"congestion_control", named(&self::control, {"new_reno", "cubic"})},
      FIELD(no_delay),
      FIELD(keepalive),
      FIELD(keepalive_probes),
      FIELD(ecn),
      FIELD(timestamps),
      FIELD(differentiated_services),
      FIELD(receive_buffer_bytes),
      FIELD(send_buffer_bytes),
      FIELD(maximum_segment_bytes),
      FIELD(hold_partial),
      FIELD(pacing),
      FIELD(super_segment_min),
      FIELD(loss_probe),
      FIELD(leave_slow_start_slowly),
      FIELD(restart_after_idle),
      FIELD(probe_mtu_from),
  };
  return all;
}

}  // namespace

void update(sim::link_settings& settings, py::dict const& from) {
  update_all(settings, from, link_fields());
}
void update(net::tcp::settings& settings, py::dict const& from) {
  update_all(settings, from, tcp_fields());
  // What the stack would make nonsense of.
  auto const fits = [](std::uint32_t bytes) { return bytes >= 1'024 && bytes <= 1u << 30; };
  if (!fits(settings.receive_buffer_bytes) || !fits(settings.send_buffer_bytes)) {
    throw py::value_error("a connection's buffers have 1024 bytes to 1 GiB");
  }
  if (settings.maximum_segment_bytes != 0 && settings.maximum_segment_bytes < 88) {
    throw py::value_error("maximum_segment_bytes is 0 or 88 at least");
  }
  if (settings.differentiated_services > 63) throw py::value_error("differentiated_services is six bits");
  if (settings.keepalive_idle < 1ms || settings.keepalive_interval < 1ms) {
    throw py::value_error("keepalive times are a millisecond at least");
  }
}
py::dict dict_of(sim::link_settings const& from) {
  return dict_of_all(from, link_fields());
}
py::dict dict_of(net::tcp::settings const& from) {
  return dict_of_all(from, tcp_fields());
}

#define PUT(name) made[#name] = from.name

py::dict dict_of(sim::link_counters const& from) {
  py::dict made;
  PUT(sent), PUT(delivered), PUT(bytes), PUT(lost), PUT(cut), PUT(too_large), PUT(queue_full);
  PUT(dropped_by_codel), PUT(marked), PUT(duplicated), PUT(reordered), PUT(corrupted);
  made["dropped"] = from.dropped();
  return made;
}

py::dict dict_of(net::tcp::information const& from) {
  constexpr char const* states[] = {"closed",      "listen",     "syn_sent",   "syn_received",
                                    "established", "fin_wait_1", "fin_wait_2", "close_wait",
                                    "closing",     "last_ack",   "time_wait"};
  constexpr char const* phases[] = {"open", "disorder", "reduced", "recovery", "loss"};
  auto const seconds_of = [](duration length) { return static_cast<double>(length.count()) / 1e9; };
  py::dict made;
  made["state"] = states[static_cast<std::size_t>(from.state)];
  made["phase"] = phases[static_cast<std::size_t>(from.phase)];
  made["smoothed_round_trip"] = seconds_of(from.smoothed_round_trip);
  made["round_trip_variation"] = seconds_of(from.round_trip_variation);
  made["minimum_round_trip"] = seconds_of(from.minimum_round_trip);
  made["retransmission_timeout"] = seconds_of(from.retransmission_timeout);
  PUT(maximum_segment_size), PUT(congestion_window_bytes), PUT(slow_start_threshold_bytes),
      PUT(bytes_in_flight);
  PUT(bytes_sent), PUT(bytes_received), PUT(bytes_acknowledged), PUT(segments_sent), PUT(segments_received);
  PUT(segments_retransmitted), PUT(has_timestamps), PUT(has_sack), PUT(has_ecn), PUT(send_window_scale);
  PUT(receive_window_scale), PUT(send_unacknowledged), PUT(send_next), PUT(send_window_bytes),
      PUT(receive_next);
  PUT(unsent_bytes), PUT(segments_unacknowledged), PUT(segments_sacked), PUT(segments_lost);
  PUT(segments_retransmitted_in_flight), PUT(reordering_segments), PUT(reorderings),
      PUT(received_segment_bytes);
  PUT(advertised_segment_bytes), PUT(send_queue_bytes), PUT(receive_queue_bytes),
      PUT(retransmissions_in_a_row);
  PUT(window_probes), PUT(peer_ended);
  return made;
}

py::dict dict_of(net::core_counters const& from) {
  py::dict made;
  PUT(frames_in), PUT(frames_out), PUT(frames_dropped), PUT(not_for_us), PUT(malformed), PUT(wrong_checksums);
  PUT(fragments_in), PUT(reassembled), PUT(reassembly_failed), PUT(fragments_out), PUT(icmp_errors_sent);
  PUT(icmp_errors_suppressed), PUT(icmp_errors_received), PUT(echo_replies), PUT(neighbor_queue_dropped);
  PUT(neighbors_evicted), PUT(neighbor_failures), PUT(no_route), PUT(datagrams_in), PUT(datagrams_out);
  PUT(datagrams_dropped), PUT(port_unreachable), PUT(address_conflicts), PUT(no_buffers),
      PUT(reassembly_overlaps);
  PUT(reassembly_evicted), PUT(reassembly_timeouts), PUT(reassembly_too_many), PUT(neighbors_refused);
  PUT(solicitations_suppressed), PUT(path_mtu_reduced), PUT(path_mtu_evicted), PUT(transmit_queue_full);
  PUT(redirects_ignored), PUT(looped), PUT(addresses_refused), PUT(routes_refused), PUT(groups_refused);
  PUT(sockets_refused), PUT(raw_out), PUT(raw_dropped), PUT(raw_refused);
  return made;
}

py::dict dict_of(net::tcp::engine_counters const& from) {
  py::dict made;
  PUT(segments_in), PUT(segments_out), PUT(segments_retransmitted), PUT(predicted_in), PUT(predicted_out);
  PUT(wrong_checksums), PUT(malformed), PUT(resets_sent), PUT(resets_received), PUT(resets_refused),
      PUT(syn_dropped);
  PUT(syn_cookies_sent), PUT(syn_cookies_accepted), PUT(syn_cookies_refused), PUT(accept_queue_full);
  PUT(challenge_acks), PUT(challenge_acks_suppressed), PUT(paws_dropped), PUT(out_of_order_dropped);
  PUT(connections_refused), PUT(time_wait_evicted), PUT(timeouts), PUT(sack_ranges_full),
      PUT(half_opens_expired);
  PUT(mss_raised), PUT(windows_closed), PUT(send_buffers_full), PUT(buffers_exhausted), PUT(abandoned);
  return made;
}

py::object object_of(given const& from) {
  struct {
    py::object operator()(std::monostate) const { return py::none(); }
    py::object operator()(std::string const& bytes) const { return py::bytes(bytes); }
    py::object operator()(std::uint64_t count) const { return py::int_(count); }
    py::object operator()(duration took) const { return py::float_(static_cast<double>(took.count()) / 1e9); }
    py::object operator()(socket_made const& one) const { return py::int_(one.which); }
    py::object operator()(datagram const& one) const {
      return py::make_tuple(py::bytes(one.bytes), py::make_tuple(one.from.address, one.from.port));
    }
    py::object operator()(std::vector<std::string> const& all) const { return py::cast(all); }
    py::object operator()(arrival const& one) const {
      return py::make_tuple(one.at.time_since_epoch().count() - 1'000'000'000, py::bytes(one.bytes),
                            one.port);
    }
  } constexpr convert;
  return std::visit(convert, from);
}

stack_description stack_of(std::string const& name, py::dict const& options) {
  stack_description made;
  made.name = name;
  auto& to = made.options;
  to.accept_ra = false;
  to.ipv4 = {};
  auto const parse = [](auto& into, std::string const& text, char const* what) {
    auto const parsed = std::remove_cvref_t<decltype(into)>::parse(text);
    if (!parsed) throw py::value_error("\"" + text + "\" is no " + what);
    into = *parsed;
  };
  for (auto const& [key, value] : options) {
    auto const option = py::str(key).cast<std::string>();
    try {
      if (option == "ipv4") {
        parse(to.ipv4, value.cast<std::string>(), "IPv4 address with its prefix, nor \"dhcp\", nor \"none\"");
      } else if (option == "ipv6") {
        parse(to.ipv6, value.cast<std::string>(),
              "IPv6 address with its prefix (or some, with commas between)");
      } else if (option == "gateway") {
        parse(to.gateway.emplace(), value.cast<std::string>(), "IPv4 address");
      } else if (option == "ipv6_gateway") {
        parse(to.ipv6_gateway.emplace(), value.cast<std::string>(), "IPv6 address");
      } else if (option == "mac") {
        made.mac = value.cast<std::string>();
      } else if (option == "offloads") {
        made.offloads = value.cast<bool>();
      } else if (option == "accept_ra") {
        to.accept_ra = value.cast<bool>();
      } else if (option == "temporary_addresses") {
        to.temporary_addresses = value.cast<bool>();
      } else if (option == "detect_conflicts") {
        to.detect_conflicts = value.cast<bool>();
      } else if (option == "mtu") {
        to.mtu = value.cast<std::uint32_t>();
        if (to.mtu > 65'535) throw py::value_error("an MTU is at most 65535 bytes");
      } else if (option == "vlan") {
        to.vlan = value.cast<std::uint16_t>();
      } else if (option == "connections") {
        to.connections = value.cast<std::uint32_t>();
      } else if (option == "buffers_mib") {
        to.buffers_mib = value.cast<std::uint32_t>();
        if (to.buffers_mib > 1'024) throw py::value_error("a host has at most 1024 MiB of buffers");
      } else {
        throw py::value_error("there is no option \"" + option + "\" of a host");
      }
    } catch (py::cast_error const&) {
      throw py::value_error("option \"" + option + "\": " + py::repr(value).cast<std::string>() +
                            " is no value for it");
    }
  }
  return made;
}

}  // namespace morgana::python
