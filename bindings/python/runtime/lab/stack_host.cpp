#include "stack_host.hpp"

#include <cstring>
#include <utility>

#include "morgana/core/platform.hpp"

namespace morgana {
namespace {

/// Of the host that runs in this thread: the platform's one secret is each host's own here.
thread_local std::span<std::byte const, 32> const* running_secret = nullptr;

class as_running {
 public:
  explicit as_running(std::span<std::byte const, 32> secret)
      : secret_(secret), before_(std::exchange(running_secret, &secret_)) {}
  as_running(as_running const&) = delete;
  as_running& operator=(as_running const&) = delete;
  ~as_running() { running_secret = before_; }

 private:
  std::span<std::byte const, 32> secret_;
  std::span<std::byte const, 32> const* before_;
};

}  // namespace

std::span<std::byte const, 32> platform::boot_secret() noexcept {
  static constexpr std::array<std::byte, 32> none{};
  return running_secret == nullptr ? std::span<std::byte const, 32>(none) : *running_secret;
}

}  // namespace morgana

namespace morgana::python {

stack_host::stack_host(stack_settings settings, sim::random_source const& random, finished_list& finished)
    : settings_(std::move(settings)), finished_(&finished), context_(executor_, *this), device_([this] {
        net::device_capabilities made;
        made.address = settings_.mac;
        made.mtu_bytes = settings_.options.mtu == 0 ? 1500 : settings_.options.mtu;
        made.transmit_checksum = made.receive_checksum = settings_.offloads;
        made.segmentation_tcp_v4 = made.segmentation_tcp_v6 = settings_.offloads;
        return made;
      }()) {
  auto numbers = random.fork("secret");
  for (std::size_t i = 0; i < secret_.size(); i += 8) {
    auto const word = numbers.next();
    std::memcpy(secret_.data() + i, &word, sizeof word);
  }
}

stack_host::~stack_host() {
  as_running const here{secret_};
  // Who waits, then what was waited for, then the stack: each uses what comes after it.
  pending_.clear();
  dhcp_servers.clear();
  names_.clear();
  streams.clear();
  listeners.clear();
  datagrams.clear();
  booting_ = {};
  network_.reset();
}

void stack_host::begin(instant now) {
  as_running const here{secret_};
  booted_ = now;
  next_ = executor_.run_ready(now);
  booting_ = boot();
  booting_.start(context_, booting_ended_);
  run(now);
}

task<> stack_host::boot() {
  auto made = co_await stack::connect(context_, device_, settings_.options);
  if (made) {
    network_ = std::move(*made);
    co_return;
  }
  fixed_text<256> text;
  text.append("{}", made.error());
  broken_ = std::string(text.view());
}

void stack_host::run(instant now) {
  as_running const here{secret_};
  for (std::size_t turn = 0; turn < turns_max; ++turn) {
    next_ = executor_.run_ready(now);
    if (next_ > now) return;
  }
}

void stack_host::receive(std::size_t, sim::frame& arrived, instant now) {
  device_.arrive(arrived);
  run(now);
}

bool stack_host::poll_transmit(std::size_t, sim::frame& into, instant now) {
  if (device_.take(into)) return true;
  // Something may have been called from outside since it ran.
  run(now);
  return device_.take(into);
}

std::vector<std::uint64_t> stack_host::waiting() const {
  std::vector<std::uint64_t> all;
  for (auto const& [number, one] : pending_) all.push_back(number);
  return all;
}

net::siphash_key stack_host::key(std::string_view use) const {
  auto const own = net::keyed_secrets::derive(secret_).jitter;
  auto const text = std::as_bytes(std::span(use));
  return {net::siphash(own, text), net::siphash({own.high, own.low}, text)};
}

net::dns_client<stack>& stack_host::names(net::name_server_setting const& servers) {
  fixed_text<256> text;
  text.append("{}", servers);
  auto& found = names_[std::string(text.view())];
  if (!found) {
    net::dns_client_options options;
    options.servers = servers;
    found = std::make_unique<net::dns_client<stack>>(*network_, options, key("names"));
  }
  return *found;
}

void stack_host::write(log_record const& record) {
  if (log_.size() > log_bytes_max) return;
  fixed_text<log_sink::message_bytes_max + 128> line;
  auto const ms = static_cast<std::uint64_t>((record.time - booted_) / 1ms);
  line.append("[");
  line.put_unsigned(ms / 1000, 10, 4);
  line.put('.');
  line.put_unsigned(ms % 1000, 10, 3, '0');
  line.append("] {}: {}: {}\n", record.source, to_string(record.level), record.message);
  log_ += line.view();
}

}  // namespace morgana::python
