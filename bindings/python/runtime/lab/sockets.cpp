// What the applications of a host with our stack do, as coroutines of that host.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "morgana/net/dhcp/service.hpp"
#include "state.hpp"

namespace morgana::python {
namespace {

using stream_pointer = std::shared_ptr<net::direct_stream>;

/// Bytes that pour() writes at a time.
constexpr std::size_t block_bytes = 64 * 1024;

template <class T>
std::string text_of(T const& value) {
  fixed_text<64> text;
  text.append("{}", value);
  return std::string(text.view());
}

answer<net::endpoint> endpoint_of(place const& from) {
  auto const address = net::ip_address::parse(from.address);
  if (!address) return bad_value("\"" + from.address + "\" is no IP address");
  return net::endpoint{*address, from.port};
}

place place_of(net::endpoint const& from) {
  return {text_of(from.address), from.port};
}

// ---- coroutines ----------------------------------------------------------------------------------------
// They hold what they use: closing a socket leaves them an empty one.

task<> wait_for_address(stack_host& on, outcome& into, instant deadline) {
  while (on.network() == nullptr) {
    if (!on.broken().empty()) {
      into.failed = problem{problem::kind::bad_value, 0, on.broken()};
      co_return;
    }
    if (on.host_now() >= deadline) {
      into.failed = problem{problem::kind::connection, ETIMEDOUT, "no address came in time"};
      co_return;
    }
    // The stack connects by itself, within lease_time.
    co_await sleep_for(10ms);
  }
  auto const there = co_await on.network()->wait_configured(deadline);
  if (!there) into.failed = problem_of(there.error());
}

task<> accept_one(stack_host& on, std::shared_ptr<net::direct_listener> from, handle number, instant deadline,
                  outcome& into) {
  auto got = co_await from->accept(deadline);
  if (!got) {
    into.failed = problem_of(got.error());
    co_return;
  }
  on.streams[number] = std::make_shared<net::direct_stream>(std::move(*got));
  into.given = socket_made{number};
}

task<> connect_one(stack_host& on, net::endpoint to, net::tcp::settings with, handle number, instant deadline,
                   outcome& into) {
  auto got = co_await on.network()->connect(to, with, deadline);
  if (!got) {
    into.failed = problem_of(got.error());
    co_return;
  }
  on.streams[number] = std::make_shared<net::direct_stream>(std::move(*got));
  into.given = socket_made{number};
}

task<> read_bytes(stream_pointer from, std::uint64_t least, std::uint64_t most, instant deadline,
                  outcome& into) {
  std::string all;
  do {
    auto const seen = co_await from->peek(deadline);
    if (!seen) {
      into.failed = problem_of(seen.error());
      co_return;
    }
    if (seen->empty()) break;
    auto const size = static_cast<std::size_t>(std::min<std::uint64_t>(seen->size(), most - all.size()));
    all.append(reinterpret_cast<char const*>(seen->data()), size);
    from->consume(size);
  } while (all.size() < least);
  into.given = std::move(all);
}

task<> count_bytes(stream_pointer from, std::uint64_t most, instant deadline, outcome& into) {
  std::uint64_t count = 0;
  while (count < most) {
    auto const seen = co_await from->peek(deadline);
    if (!seen) {
      into.failed = problem_of(seen.error());
      co_return;
    }
    if (seen->empty()) break;
    auto const size = static_cast<std::size_t>(std::min<std::uint64_t>(seen->size(), most - count));
    count += size;
    from->consume(size);
  }
  into.given = count;
}

task<> write_bytes(stream_pointer to, std::string bytes, instant deadline, outcome& into) {
  auto const done = co_await to->write(std::as_bytes(std::span(bytes)), deadline);
  if (!done) into.failed = problem_of(done.error());
}

task<> pour_bytes(stream_pointer to, std::uint64_t count, instant deadline, outcome& into) {
  std::string const block(block_bytes, '\0');
  while (count != 0) {
    auto const size = static_cast<std::size_t>(std::min<std::uint64_t>(count, block.size()));
    auto const done = co_await to->write(std::as_bytes(std::span(block)).first(size), deadline);
    if (!done) {
      into.failed = problem_of(done.error());
      co_return;
    }
    count -= size;
  }
}

task<> receive_one(std::shared_ptr<net::direct_datagrams> from, instant deadline, outcome& into) {
  std::string bytes(65'536, '\0');
  auto const got = co_await from->receive(std::as_writable_bytes(std::span(bytes)), deadline);
  if (!got) {
    into.failed = problem_of(got.error());
    co_return;
  }
  bytes.resize(got->size);
  bytes.shrink_to_fit();
  into.given = datagram{std::move(bytes), place_of(got->from), got->was_cut};
}

task<> send_one(std::shared_ptr<net::direct_datagrams> over, std::string bytes, net::endpoint to,
                instant deadline, outcome& into) {
  auto const done = co_await over->send(std::as_bytes(std::span(bytes)), to, deadline);
  if (!done) into.failed = problem_of(done.error());
}

task<> ping_one(stack& on, net::ip_address to, std::size_t payload_bytes, instant deadline, outcome& into) {
  auto const took = co_await on.ping(to, deadline, payload_bytes);
  if (took) {
    into.given = *took;
  } else {
    into.failed = problem_of(took.error());
  }
}

task<> resolve_name(net::dns_client<stack>& with, std::string name, net::address_family family,
                    instant deadline, outcome& into) {
  auto const found = co_await with.resolve(name, family, deadline);
  if (!found) {
    into.failed = problem_of(found.error());
    co_return;
  }
  std::vector<std::string> all;
  for (auto const& one : *found) all.push_back(text_of(one));
  into.given = std::move(all);
}

template <class Map>
auto find_in(Map const& all, handle which) -> answer<typename Map::mapped_type> {
  auto const found = all.find(which);
  if (found != all.end()) return found->second;
  return std::unexpected(
      problem{problem::kind::connection, EBADF, "this socket is closed, or its host lost power"});
}

}  // namespace

#define MORGANA_HOST(name, which)                                        \
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error()); \
  auto const name##_found = self_->host(which);                          \
  if (!name##_found) return std::unexpected(name##_found.error());       \
  auto& name = **name##_found
#define MORGANA_SOCKET(name, in, which)                            \
  auto const name##_found = find_in(in, which);                    \
  if (!name##_found) return std::unexpected(name##_found.error()); \
  auto const& name = *name##_found

// ---- the host ------------------------------------------------------------------------------------------

answer<operation> simulation::configured(node_number which, std::optional<duration> timeout) {
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error());
  auto const found = self_->host(which, false);
  if (!found) return std::unexpected(found.error());
  auto const deadline = state::deadline(**found, timeout);
  return self_->begin(which, **found,
                      [&](outcome& into) { return wait_for_address(**found, into, deadline); });
}

answer<std::vector<std::string>> simulation::addresses(node_number which) {
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error());
  auto const found = self_->host(which, false);
  if (!found) return std::unexpected(found.error());
  std::vector<std::string> all;
  if ((*found)->network() == nullptr) return all;
  for (auto const& one : (*found)->network()->addresses()) all.push_back(text_of(one.address));
  return all;
}

answer<std::vector<std::string>> simulation::name_servers(node_number which) {
  MORGANA_HOST(host, which);
  std::vector<std::string> all;
  for (auto const& one : host.network()->name_servers()) all.push_back(text_of(one));
  return all;
}

answer<std::string> simulation::mac(node_number which) {
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error());
  auto const found = self_->find(which);
  if (!found) return std::unexpected(found.error());
  if ((*found)->is != member::kind::stack && (*found)->is != member::kind::raw) {
    return wrong_use((*found)->name + " has no one Ethernet address");
  }
  return text_of((*found)->of_stack.mac);
}

answer<net::core_counters> simulation::core_counters(node_number which) {
  MORGANA_HOST(host, which);
  return host.network()->core().counters();
}
answer<net::tcp::engine_counters> simulation::tcp_counters(node_number which) {
  MORGANA_HOST(host, which);
  return host.network()->core().tcp().counters();
}
answer<std::size_t> simulation::connections(node_number which) {
  MORGANA_HOST(host, which);
  return host.network()->core().tcp().connections();
}
answer<std::string> simulation::log(node_number which) {
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error());
  auto const found = self_->host(which, false);
  if (!found) return std::unexpected(found.error());
  return (*found)->log();
}

answer<operation> simulation::ping(node_number which, std::string const& to, std::size_t payload_bytes,
                                   std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  auto const target = net::ip_address::parse(to);
  if (!target) return bad_value("\"" + to + "\" is no IP address");
  if (payload_bytes > 65'000) return bad_value("an echo request carries at most 65000 bytes");
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host, [&](outcome& into) {
    return ping_one(*host.network(), *target, payload_bytes, deadline, into);
  });
}

answer<operation> simulation::resolve(node_number which, std::string const& name, std::string const& servers,
                                      net::address_family family, std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  auto const asked = net::name_server_setting::parse(servers.empty() ? "auto" : servers);
  if (!asked) return bad_value("\"" + servers + "\" are no addresses of name servers, with commas between");
  auto& with = host.names(*asked);
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host,
                      [&](outcome& into) { return resolve_name(with, name, family, deadline, into); });
}

answer<handle> simulation::serve_dhcp(node_number which, dhcp_description const& of) {
  MORGANA_HOST(host, which);
  net::dhcp::v4_server_configuration made;
  auto const subnet = net::cidr::parse(of.subnet);
  auto const first = net::ipv4_address::parse(of.first);
  auto const last = net::ipv4_address::parse(of.last);
  if (!subnet || !subnet->address.is_v4() || !first || !last) {
    return bad_value("a DHCP server has a subnet such as 10.0.0.0/24 and a first and a last address in it");
  }
  made.subnet = *subnet;
  made.first = *first;
  made.last = *last;
  if (of.lease < 1s) return bad_value("a lease lasts a second at least");
  made.lease_length = of.lease;
  auto const read_all = [](std::vector<std::string> const& from, auto& into) {
    return std::ranges::all_of(from, [&](std::string const& text) {
      auto const one = net::ipv4_address::parse(text);
      return one && into.add(*one);
    });
  };
  if (!read_all(of.routers, made.routers) || !read_all(of.name_servers, made.name_servers)) {
    return bad_value("routers and name servers are a few IPv4 addresses");
  }
  if (of.mtu_bytes != 0) made.mtu_bytes = of.mtu_bytes;
  for (auto const& one : host.network()->addresses()) {
    if (one.address.address.is_v4() && subnet->contains(one.address.address))
      made.address = one.address.address.v4();
  }
  if (made.address == net::ipv4_address()) return bad_value("the server has no address in " + of.subnet);
  if (auto const ok = made.check({}); !ok) return std::unexpected(problem_of(ok.error()));
  auto const number = ++self_->handles;
  auto& service = *(host.dhcp_servers[number] = std::make_unique<dhcp_service>());
  service.server = std::make_unique<net::dhcp::v4_server>(made, net::dhcp_limits(), host.key("dhcp server"));
  service.serving = std::make_unique<scope>(host.context());
  service.serving->spawn(net::serve_dhcp(*host.network(), *service.server));
  self_->world.touch(which);
  return number;
}

answer<std::vector<dhcp_lease>> simulation::dhcp_leases(node_number which, handle server) {
  MORGANA_HOST(host, which);
  auto const found = host.dhcp_servers.find(server);
  if (found == host.dhcp_servers.end()) return wrong_use("this DHCP server was stopped");
  std::vector<dhcp_lease> all;
  for (auto const& one : found->second->server->leases()) {
    constexpr char const* states[] = {"probing", "offered", "bound", "released", "declined"};
    all.push_back(
        {text_of(one.address), text_of(one.hardware), states[static_cast<std::size_t>(one.binding)]});
  }
  return all;
}

// ---- TCP -----------------------------------------------------------------------------------------------

answer<handle> simulation::listen(node_number which, std::string const& address, std::uint16_t port,
                                  std::uint32_t backlog, net::tcp::settings const& with) {
  MORGANA_HOST(host, which);
  auto const at = net::ip_address::parse(address);
  if (!at) return bad_value("\"" + address + "\" is no IP address");
  auto made = host.network()->listen({.address = *at, .port = port, .backlog = backlog});
  if (!made) return std::unexpected(problem_of(made.error()));
  made->options() = with;
  auto const number = ++self_->handles;
  host.listeners[number] = std::make_shared<net::direct_listener>(std::move(*made));
  self_->world.touch(which);
  return number;
}

answer<operation> simulation::accept(node_number which, handle listener, std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(from, host.listeners, listener);
  auto const deadline = state::deadline(host, timeout);
  auto const number = ++self_->handles;
  return self_->begin(which, host,
                      [&](outcome& into) { return accept_one(host, from, number, deadline, into); });
}

answer<operation> simulation::connect(node_number which, place const& to, net::tcp::settings const& with,
                                      std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  auto const peer = endpoint_of(to);
  if (!peer) return std::unexpected(peer.error());
  auto const deadline = state::deadline(host, timeout);
  auto const number = ++self_->handles;
  return self_->begin(which, host,
                      [&](outcome& into) { return connect_one(host, *peer, with, number, deadline, into); });
}

answer<operation> simulation::read(node_number which, handle stream, std::uint64_t least, std::uint64_t most,
                                   bool counts, std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(from, host.streams, stream);
  if (most == 0 || least > most || (!counts && most > bytes_max)) {
    return bad_value("one read takes 1 byte to 1 GiB");
  }
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host, [&](outcome& into) {
    return counts ? count_bytes(from, most, deadline, into) : read_bytes(from, least, most, deadline, into);
  });
}

answer<operation> simulation::write(node_number which, handle stream, std::string bytes,
                                    std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(to, host.streams, stream);
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host,
                      [&](outcome& into) { return write_bytes(to, std::move(bytes), deadline, into); });
}

answer<operation> simulation::pour(node_number which, handle stream, std::uint64_t count,
                                   std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(to, host.streams, stream);
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host, [&](outcome& into) { return pour_bytes(to, count, deadline, into); });
}

answer<> simulation::shutdown(node_number which, handle stream) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  auto const done = of->shutdown();
  self_->world.touch(which);
  if (!done) return std::unexpected(problem_of(done.error()));
  return {};
}

answer<> simulation::abort(node_number which, handle stream) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  of->abort();
  self_->world.touch(which);
  return {};
}

answer<net::tcp::information> simulation::info(node_number which, handle stream) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  return of->info();
}

answer<net::tcp::settings> simulation::options(node_number which, handle stream) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  return of->settings();
}

answer<> simulation::set_options(node_number which, handle stream, net::tcp::settings const& to) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  of->set(to);
  self_->world.touch(which);
  return {};
}

// ---- UDP -----------------------------------------------------------------------------------------------

answer<handle> simulation::bind(node_number which, place const& at) {
  MORGANA_HOST(host, which);
  auto const where = endpoint_of(at);
  if (!where) return std::unexpected(where.error());
  auto made = host.network()->bind(*where);
  if (!made) return std::unexpected(problem_of(made.error()));
  auto const number = ++self_->handles;
  host.datagrams[number] = std::make_shared<net::direct_datagrams>(std::move(*made));
  return number;
}

answer<operation> simulation::receive(node_number which, handle socket, std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(from, host.datagrams, socket);
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host, [&](outcome& into) { return receive_one(from, deadline, into); });
}

answer<operation> simulation::send(node_number which, handle socket, std::string bytes, place const& to,
                                   std::optional<duration> timeout) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(over, host.datagrams, socket);
  auto const peer = endpoint_of(to);
  if (!peer) return std::unexpected(peer.error());
  auto const deadline = state::deadline(host, timeout);
  return self_->begin(which, host,
                      [&](outcome& into) { return send_one(over, std::move(bytes), *peer, deadline, into); });
}

// ---- any socket ----------------------------------------------------------------------------------------

answer<place> simulation::local(node_number which, handle socket) {
  MORGANA_HOST(host, which);
  if (auto const found = host.listeners.find(socket); found != host.listeners.end()) {
    return place_of(found->second->local());
  }
  if (auto const found = host.datagrams.find(socket); found != host.datagrams.end()) {
    return place_of(found->second->local());
  }
  MORGANA_SOCKET(of, host.streams, socket);
  return place_of(of->local());
}

answer<place> simulation::peer(node_number which, handle stream) {
  MORGANA_HOST(host, which);
  MORGANA_SOCKET(of, host.streams, stream);
  return place_of(of->peer());
}

answer<> simulation::close(node_number which, handle socket) {
  if (auto const ok = usable(); !ok) return ok;
  auto const found = self_->find(which);
  if (!found) return std::unexpected(found.error());
  if ((*found)->stack == nullptr) return {};
  auto const host = self_->host(which);
  if (!host) return {};
  auto& all = **host;
  // What waits on it holds the object: it is emptied, and told so.
  if (auto const one = all.streams.find(socket); one != all.streams.end()) {
    *one->second = {};
    all.streams.erase(one);
  }
  if (auto const one = all.listeners.find(socket); one != all.listeners.end()) {
    *one->second = net::direct_listener(nullptr);
    all.listeners.erase(one);
  }
  if (auto const one = all.datagrams.find(socket); one != all.datagrams.end()) {
    *one->second = net::direct_datagrams(nullptr);
    all.datagrams.erase(one);
  }
  all.dhcp_servers.erase(socket);
  self_->world.touch(which);
  return {};
}

}  // namespace morgana::python
