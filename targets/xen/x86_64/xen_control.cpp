// What Xen's tools ask of a guest, and how it tells its end, both in xenstore: control/shutdown,
// data/exit-status.
#include <utility>

#include "../common/attached.hpp"
#include "../common/store.hpp"
#include "../common/store_client.hpp"
#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"
#include "tool_rings.hpp"

namespace morgana::xen {
namespace {

constexpr std::string_view shutdown_path = "control/shutdown";
constexpr std::string_view exit_path = "data/exit-status";
constexpr std::string_view networks_path = "device/vif";
constexpr std::string_view disks_path = "device/vbd";
enum request : std::uint32_t { ignored, asked_shutdown, wrote, asked_networks, asked_disks };
/// For xenstore to take the exit status, or that we are to be suspended.
constexpr std::uint64_t write_wait_ns = 500'000'000;

constinit store_client client;
constinit tool_rings rings;
constinit std::uint64_t rings_event = 0;
constinit bool stop_wanted = false;
constinit bool reboot_wanted = false;
constinit bool suspend_wanted = false;
constinit bool is_written = false;
constinit std::uint64_t generation_count = 0;
constexpr std::string_view stop_token = "stop";
constinit store_user* other_user = nullptr;

/// For a driver, not for us.
bool is_others(store_event const& event) {
  if (other_user == nullptr) return false;
  return event.what == store_event::kind::watch ? event.token != stop_token
                                                : event.request >= store::requests_begin;
}

/// A line that begins with the unikernel's name. Short rather than fast, as what calls it.
[[clang::minsize, gnu::noinline]] void complain(std::string_view what, std::uint32_t number,
                                                std::string_view more) {
  fixed_text<256> line;
  line.put(this_application.name);
  line.put(": ");
  line.put(what);
  if (!more.empty()) line.put_unsigned(number, 10);
  line.put(more);
  line.put('\n');
  platform::console_write(std::as_bytes(std::span(line.view())));
}

/// A missing device ends the guest when it is connected to. One too many does no harm, but somebody meant
/// something by it.
[[clang::minsize, gnu::noinline]] void look_for_extra(std::uint32_t asked, std::string_view directory) {
  auto const is_network = asked == asked_networks;
  auto const number =
      extra_device(this_application.manifest, is_network ? attachment::network : attachment::disk, directory);
  if (!number) return;
  complain(is_network ? "device/vif/" : "device/vbd/", *number,
           " is attached, but the image has no such device");
}

[[clang::minsize, gnu::noinline]] void take_shutdown(std::string_view how) {
  using hypervisor::suspend_step;
  // Called off before it was answered.
  if (std::exchange(suspend_wanted, how == "suspend") && !suspend_wanted && hypervisor::on_suspend != nullptr)
    hypervisor::on_suspend(suspend_step::cancelled);
  // To an unknown request Xen's protocol wants no answer.
  if (how != "poweroff" && how != "halt" && how != "reboot") return;
  stop_wanted = true;
  reboot_wanted = how == "reboot";
  static_cast<void>(client.write(ignored, 0, shutdown_path, ""));
}

void handle(store_event const& event) {
  if (is_others(event)) return other_user->take(event);
  if (event.what == store_event::kind::watch) {
    // Registering a watch makes it fire once as well.
    static_cast<void>(client.read(asked_shutdown, 0, shutdown_path));
    return;
  }
  if (event.request == wrote) is_written = true;
  if (event.what != store_event::kind::reply) return;
  if (event.request == asked_shutdown) take_shutdown(event.text);
  if (event.request == asked_networks || event.request == asked_disks)
    look_for_extra(event.request, event.text);
}

class guest_link final : public store_link {
 public:
  void attach(store_user& user) override { other_user = &user; }
  [[nodiscard]] store_client& client() override { return xen::client; }
  void flush() override {
    if (xen::client.transmit(rings.to)) rings.notify();
  }
};
constinit guest_link the_link;

/// The rings as they are now, and what is watched.
[[clang::minsize, gnu::noinline]] void open_rings(event_port by) {
  auto& page = *reinterpret_cast<store_page*>(machine.store_page);
  rings.open(byte_ring(page.requests, page.requests_put, page.requests_taken),
             byte_ring(page.replies, page.replies_taken, page.replies_put), by);
  rings_event = hypervisor::event_of(by);
  static_cast<void>(client.watch(ignored, shutdown_path, stop_token));
}

/// Waits until xenstore has it, or for write_wait_ns. Nobody else runs meanwhile.
[[clang::minsize, gnu::noinline]] void write_and_wait(std::string_view path, std::string_view value) {
  is_written = false;
  if (!client.write(wrote, 0, path, value)) return;
  auto const deadline = hypervisor::time_ns() + write_wait_ns;
  while (!is_written && !client.is_broken() && hypervisor::time_ns() < deadline) {
    xen_control::poll();
    hypervisor::yield();
  }
}

}  // namespace

store_link& xen_control::link() {
  return the_link;
}

void xen_control::start() {
  if (machine.store_page == 0) return;
  open_rings(machine.store_port);
  static_cast<void>(client.directory(asked_networks, 0, networks_path));
  static_cast<void>(client.directory(asked_disks, 0, disks_path));
  // Answers come with an event, and only then is looked again.
  poll();
}

std::uint64_t xen_control::event() {
  return rings_event;
}

void xen_control::poll() {
  if (!rings.is_open()) return;
  auto changed = false;
  while (auto const event = client.receive(rings.from)) {
    handle(*event);
    changed = true;
  }
  changed = client.transmit(rings.to) || changed;
  if (changed) rings.notify();
}

bool xen_control::stop_requested() {
  return stop_wanted;
}

bool xen_control::reboot_requested() {
  return reboot_wanted;
}

bool xen_control::suspend_is_wanted() {
  return suspend_wanted;
}

[[clang::minsize]] bool xen_control::suspend_if_quiet() {
  using hypervisor::suspend_step;
  auto* const drivers = hypervisor::on_suspend;
  if (drivers != nullptr && !drivers(suspend_step::quiesce)) return false;
  suspend_wanted = false;
  // From here on Xen's tools wait for the end of this domain's run, as long as it takes.
  write_and_wait(shutdown_path, "");
  auto const now_ns = platform::monotonic_now().time_since_epoch().count();
  auto step = suspend_step::cancelled;
  if (hypervisor::suspend()) {
    step = suspend_step::elsewhere;
    ++generation_count;
    continue_clock(now_ns);
    restart_console();
    client.restart();
    open_rings(hypervisor::port_of(hvm_parameter::name::store_port));
  }
  if (drivers != nullptr) drivers(step);
  poll();
  return true;
}

std::uint64_t xen_control::generation() {
  return generation_count;
}

void xen_control::say_exit(int status) {
  if (!rings.is_open()) return;
  fixed_text<8> text;
  text.append("{}", status);
  write_and_wait(exit_path, text.view());
}

}  // namespace morgana::xen
