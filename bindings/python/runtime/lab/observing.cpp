// Frames in and out, captures of them, and what guests say.
#include <algorithm>
#include <memory>
#include <string>

#include "checks.hpp"
#include "state.hpp"

namespace morgana::python {
namespace {

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t frame_bytes_max = 65'535 + 18;

answer<> check_frame(std::string_view bytes) {
  if (bytes.size() >= ethernet_bytes && bytes.size() <= frame_bytes_max) return {};
  return bad_value("a frame has " + std::to_string(ethernet_bytes) + " to " +
                   std::to_string(frame_bytes_max) + " bytes, this one " + std::to_string(bytes.size()));
}

}  // namespace

// ---- frames --------------------------------------------------------------------------------------------

answer<> simulation::send_frame(node_number which, std::size_t port, std::string_view bytes) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  if (port >= found.ports) return bad_value(found.name + " has no port " + std::to_string(port));
  if (auto const ok = check_frame(bytes); !ok) return ok;
  found.raw->send(port, frame_of(bytes));
  self_->world.touch(which);
  return {};
}

answer<> simulation::inject(node_number which, std::size_t port, std::string_view bytes) {
  MORGANA_FIND(found, which);
  if (port >= found.ports || (found.hub != nullptr && port >= found.hub->used())) {
    return bad_value(found.name + " has no port " + std::to_string(port));
  }
  if (auto const ok = check_frame(bytes); !ok) return ok;
  auto* const node = self_->world.find(which);
  if (node == nullptr) return wrong_use(found.name + " has no power");
  auto made = frame_of(bytes);
  self_->is_running = true;  // a filter may call
  node->receive(port, made, self_->world.local_now(which));
  self_->is_running = false;
  self_->world.touch(which);
  return {};
}

answer<operation> simulation::fetch_frame(node_number which) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  auto const number = ++self_->operations;
  self_->operation_at[number] = which;
  found.raw->fetch(number);
  return number;
}

answer<std::vector<arrival>> simulation::take_frames(node_number which) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  return found.raw->take();
}

answer<node_number> simulation::add_filter(std::string const& name, filter pass) {
  MORGANA_USABLE();
  member made(member::kind::box, name, 2);
  return self_->add(std::move(made), std::make_unique<filter_node>(std::move(pass), self_->filter_failed));
}

// ---- captures ------------------------------------------------------------------------------------------

answer<std::uint32_t> simulation::begin_capture(std::size_t bytes) {
  MORGANA_USABLE();
  if (self_->captures.size() >= captures_max) return wrong_use("a simulation has at most 64 captures");
  self_->captures.push_back(std::make_unique<capture>(std::min<std::uint64_t>(bytes, bytes_max)));
  self_->world.watch(*self_->captures.back());
  return static_cast<std::uint32_t>(self_->captures.size() - 1);
}

answer<> simulation::capture_node(std::uint32_t which, node_number node) {
  MORGANA_CAPTURE(on, which);
  auto const found = self_->find(node);
  if (!found) return std::unexpected(found.error());
  on.take(node, (*found)->name);
  return {};
}

answer<> simulation::stop_capture(std::uint32_t which) {
  MORGANA_CAPTURE(on, which);
  on.stop();
  return {};
}

answer<std::string> simulation::pcapng(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.pcapng();
}

answer<std::vector<captured>> simulation::frames(std::uint32_t which, std::size_t first) const {
  MORGANA_CAPTURE(on, which);
  std::vector<captured> made;
  for (auto i = first; i < on.records().size(); ++i) {
    auto const& one = on.records()[i];
    made.push_back({one.at, one.interface, one.is_sent, std::string(on.frame(one))});
  }
  return made;
}

answer<std::vector<std::string>> simulation::interfaces(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.interfaces();
}

answer<std::uint64_t> simulation::capture_dropped(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.dropped();
}

// ---- guests --------------------------------------------------------------------------------------------

answer<guest_state> simulation::guest(node_number which) const {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::guest) return wrong_use(found.name + " is no guest");
  guest_state made;
  if (found.guest == nullptr) return made;
  auto const& one = found.guest->host();
  made.has_power = true;
  made.has_ended = one.has_ended();
  made.dropped_frames = found.guest->dropped_frames();
  auto const memory = one.memory();
  made.heap_bytes = memory.heap_bytes;
  made.heap_bytes_max = memory.heap_bytes_max;
  made.private_bytes = memory.private_bytes;
  if (!made.has_ended) return made;
  made.status = one.end().status;
  made.report = one.end().report;
  switch (one.end().how) {
    case sim::guest_ending::finished:
      made.how = "finished";
      break;
    case sim::guest_ending::crashed:
      made.how = "crashed";
      break;
    case sim::guest_ending::out_of_memory:
      made.how = "out of memory";
      break;
    case sim::guest_ending::hung:
      made.how = "hung";
      break;
  }
  return made;
}

answer<std::string> simulation::console(node_number which, std::size_t from) const {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::guest) return wrong_use(found.name + " is no guest");
  if (found.guest == nullptr) return std::string();
  auto const& all = found.guest->console();
  return all.substr(std::min(from, all.size()));
}

answer<> simulation::request_stop(node_number which) {
  MORGANA_FIND(found, which);
  if (found.guest == nullptr) return wrong_use(found.name + " is no guest with power");
  found.guest->request_stop();
  self_->world.touch(which);
  return {};
}

}  // namespace morgana::python
