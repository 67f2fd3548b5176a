#include "morgana/net/dns/lookup.hpp"

#include <algorithm>

#include "morgana/net/error.hpp"

namespace morgana::net::dns {
namespace {

constexpr std::uint32_t ttl_s_max = 0x7fff'ffff;

/// RFC 2181 8: a TTL with its high bit set is zero.
std::uint32_t sane_ttl(std::uint32_t ttl_s) {
  return ttl_s > ttl_s_max ? 0 : ttl_s;
}

}  // namespace

lookup::lookup(name const& asked, record_type type, server_list& servers, resolver_limits const& limits,
               random_stream& random, counters& counted, instant now)
    : servers_(servers), limits_(limits), random_(random), counters_(counted), asked_(asked), type_(type) {
  next_try(now);
}

void lookup::finish(morgana::result<answer> with) {
  result_.emplace(std::move(with));
  deadline_ = never;
  wants_to_send_ = false;
}

void lookup::next_try(instant now) {
  if (result_) return;
  if (servers_.size() == 0) return finish(failure(net_error::unreachable));
  if (tries_ >= limits_.tries) {
    ++counters_.tries_limit;
    return finish(failure(saw_failure_ ? net_error::unreachable : net_error::timed_out));
  }
  server_ = servers_[servers_.choose(tried_, now)];
  over_ = transport::udp;
  with_edns_ = true;
  ask(now);
}

void lookup::ask(instant now) {
  ++tries_;
  wants_to_send_ = true;
  // Nothing of one try helps to forge an answer to the next (RFC 5452 4.3, 9.2).
  auto bits = random_.next();
  id_ = static_cast<std::uint16_t>(bits);
  spelled_ = asked_;
  std::uint32_t used = 16;
  auto const letters = spelled_.letters();
  for (auto& letter : letters) {
    if (used == 64) {
      bits = random_.next();
      used = 0;
    }
    bool const is_letter = (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z');
    if (is_letter && (bits >> used++ & 1) != 0) letter ^= 0x20;
  }
  header head;
  head.id = id_;
  head.recursion_desired = true;
  message_writer writer(message_, head);
  writer.add({spelled_, type_, class_internet});
  if (with_edns_) writer.add_extension(limits_.udp_bytes);
  message_bytes_ = writer.finish().size();
  auto const round = std::min<std::size_t>((tries_ - 1) / servers_.size(), 8);
  auto const wait = over_ == transport::tcp
                        ? limits_.stream_timeout
                        : std::min(limits_.first_timeout * (1 << round), limits_.timeout_max);
  deadline_ = after(now, wait);
}

std::optional<lookup::transmission> lookup::poll_transmit(instant) {
  if (!wants_to_send_) return std::nullopt;
  wants_to_send_ = false;
  ++(over_ == transport::udp ? counters_.queries_udp : counters_.queries_tcp);
  return transmission{server_, over_, std::span(message_).first(message_bytes_)};
}

void lookup::on_deadline(instant now) {
  if (result_ || now < deadline_) return;
  ++counters_.timeouts;
  servers_.failed(server_, now);
  next_try(now);
}

void lookup::failed(instant now) {
  if (result_) return;
  ++counters_.servers_failed;
  saw_failure_ = true;
  servers_.failed(server_, now);
  next_try(now);
}

bool lookup::is_reply_to_us(message_reader& reader) {
  auto const& head = reader.header();
  if (!head.is_response || head.opcode != 0 || head.id != id_) return false;
  // A server that could not read the question need not repeat it (RFC 1035 4.1.1).
  if (head.questions == 0) return head.code == response_code::format_error;
  auto const asked = reader.next_question();
  return head.questions == 1 && asked && asked->name == spelled_ && asked->type == type_ &&
         asked->in_class == class_internet;
}

void lookup::input(std::span<std::byte const> message, endpoint const& from, instant now) {
  if (result_ || wants_to_send_) return;
  if (over_ == transport::udp && from != server_) return void(++counters_.mismatched);
  auto reader = message_reader::open(message);
  if (!reader) return void(++counters_.malformed);
  if (!is_reply_to_us(*reader)) {
    ++(reader->failure() ? counters_.malformed : counters_.mismatched);
    // Nobody but the server is at the other end of a connection: it will not say anything better.
    if (over_ == transport::tcp) failed(now);
    return;
  }
  auto const& head = reader->header();
  if (over_ == transport::udp && head.questions == 1) {
    auto again = message_reader::open(message);
    auto const asked = again->next_question();
    if (!asked || !asked->name.is_identical(spelled_)) {
      // A server that does not keep the spelling, or a forger who guessed the rest: over TCP it does not
      // matter.
      ++counters_.case_mismatched;
      over_ = transport::tcp;
      return ask(now);
    }
  }
  switch (head.code) {
    case response_code::no_error:
    case response_code::no_such_name:
      break;
    case response_code::format_error:
    case response_code::not_implemented:
      if (with_edns_) {
        // RFC 6891 7: it may be the extension that it does not know.
        ++counters_.without_edns;
        with_edns_ = false;
        return ask(now);
      }
      return failed(now);
    default:
      return failed(now);
  }
  if (head.is_truncated) {
    if (over_ == transport::tcp) return failed(now);
    ++counters_.truncated;
    over_ = transport::tcp;
    return ask(now);
  }
  take_answer(*reader, now);
}

void lookup::take_answer(message_reader& reader, instant now) {
  constexpr std::size_t aliases_read_max = 16;
  struct alias {
    name owner, target;
    std::uint32_t ttl_s;
  };
  // Records of the answer section that are about the name asked for, whatever their order; nothing else is
  // believed (RFC 2181 5.4.1, RFC 5452 6).
  std::array<alias, aliases_read_max> found;
  std::size_t found_count = 0;
  std::optional<std::uint32_t> negative_s;
  auto const start = reader;
  while (auto const one = reader.next_record()) {
    if (one->in_class != class_internet) continue;
    if (one->section == section::answer && one->type == record_type::cname && found_count < found.size()) {
      if (auto const target = reader.name_of(*one))
        found[found_count++] = {one->owner, *target, sane_ttl(one->ttl_s)};
    } else if (one->section == section::authority && one->type == record_type::soa) {
      // RFC 2308 5: the smaller of the two.
      auto const zone = reader.authority_of(*one);
      if (zone) negative_s = std::min(sane_ttl(zone->ttl_s), sane_ttl(zone->minimum_s));
    }
  }
  if (reader.failure()) {
    ++counters_.malformed;
    return failed(now);
  }
  ++counters_.answers;
  servers_.answered(server_);
  bool went_on = false;
  for (bool is_alias = true; is_alias;) {
    is_alias = false;
    for (auto& one : std::span(found).first(found_count)) {
      if (!(one.owner == asked_)) continue;
      if (++aliases_ > limits_.aliases) {
        ++counters_.cname_limit;
        return finish(failure(net_error::limit_reached, limits_.aliases));
      }
      asked_ = one.target;
      lifetime_s_ = std::min(lifetime_s_, one.ttl_s);
      is_alias = went_on = true;
      break;
    }
  }
  answer made;
  auto again = start;
  while (auto const one = again.next_record()) {
    if (one->section != section::answer || one->type != type_ || one->in_class != class_internet) continue;
    if (!(one->owner == asked_)) continue;
    auto const address = message_reader::address_of(*one);
    if (!address) continue;
    (void)made.addresses.add(*address);
    lifetime_s_ = std::min(lifetime_s_, sane_ttl(one->ttl_s));
  }
  bool const is_negative = made.addresses.empty();
  bool const is_final = reader.header().code == response_code::no_such_name || negative_s.has_value();
  if (is_negative && went_on && !is_final) {
    // A server that does not follow aliases itself, or not all the way.
    tries_ = 0;
    tried_ = 0;
    return next_try(now);
  }
  made.name_exists = reader.header().code == response_code::no_error;
  if (is_negative) {
    auto const silent = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(limits_.negative_lifetime_default).count());
    lifetime_s_ = std::min(lifetime_s_, negative_s.value_or(silent));
  }
  made.lifetime = std::chrono::seconds(lifetime_s_);
  finish(made);
}

std::optional<result<address_list>> answer_without_asking(std::string_view text, address_family family) {
  auto const wants = [&](ip_address const& one) {
    return family == address_family::any || one.is_v4() == (family == address_family::v4);
  };
  address_list made;
  auto const given = [&]() -> result<address_list> {
    if (made.empty()) return failure(net_error::name_not_found);
    return made;
  };
  if (auto const literal = ip_address::parse(text)) {
    if (wants(*literal)) (void)made.add(*literal);
    return given();
  }
  auto const parsed = name::parse(text);
  if (!parsed || parsed->is_root()) return failure(net_error::invalid_address);
  auto const is_within = [&](std::string_view zone) { return parsed->is_within(*name::parse(zone)); };
  if (is_within("localhost")) {
    ip_address const v6 = *ipv6_address::parse("::1");
    ip_address const v4 = *ipv4_address::parse("127.0.0.1");
    if (wants(v6)) (void)made.add(v6);
    if (wants(v4)) (void)made.add(v4);
    return given();
  }
  if (is_within("invalid") || is_within("onion")) return failure(net_error::name_not_found);
  return std::nullopt;
}

}  // namespace morgana::net::dns
