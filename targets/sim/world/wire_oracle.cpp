#include <cstring>
#include <string>

#include "morgana/sim/oracle.hpp"

namespace morgana::sim {

namespace {

/// a - b of sequence numbers.
std::int32_t distance(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b);
}

/// TIME-WAIT is a minute; a little less, for clocks that drift.
constexpr duration time_wait = 55s;

/// Calls `each` with the edges of every SACK block.
template <class Each>
void for_each_block(std::span<std::byte const> bytes, tcp_packet const& t, Each const& each) {
  for (auto i = t.options; i + 1 < t.payload;) {
    auto const kind = get8(bytes, i);
    if (kind == 0) return;
    auto const size = kind == 1 ? 1u : get8(bytes, i + 1);
    if (size == 0) return;
    for (std::size_t block = i + 2; kind == 5 && block + 8 <= i + size && block + 8 <= t.payload;
         block += 8) {
      each(get32(bytes, block), get32(bytes, block + 4));
    }
    i += size;
  }
}

std::string in_words(tcp_packet const& t) {
  std::string text = std::to_string(t.source_port) + " > " + std::to_string(t.destination_port) + " [";
  for (auto const& [bit, letter] : {std::pair{syn, 'S'}, {fin, 'F'}, {rst, 'R'}, {psh, 'P'}, {ack, '.'}}) {
    if (t.has(bit)) text += letter;
  }
  text += "] seq " + std::to_string(t.sequence) + " +" + std::to_string(t.size());
  if (t.has(ack)) text += " ack " + std::to_string(t.acknowledgment);
  return text + " win " + std::to_string(t.window);
}

}  // namespace

std::size_t wire_oracle::flow_hash::operator()(flow_key const& key) const {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < key.bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, key.bytes.data() + i, 8);
    hash = (hash ^ word) * 0x9fb2'1c65'1e98'df25u;
    hash ^= hash >> 29;
  }
  return static_cast<std::size_t>(hash);
}

wire_oracle::flow_key wire_oracle::key_of(node_id host, std::span<std::byte const> frame, tcp_packet const& t,
                                          bool is_ours) {
  flow_key key;
  auto const address = t.at.is_v6 ? std::size_t{16} : std::size_t{4};
  auto const ours = is_ours ? t.at.source(frame) : t.at.destination(frame);
  auto const theirs = is_ours ? t.at.destination(frame) : t.at.source(frame);
  std::memcpy(key.bytes.data(), ours.data(), address);
  std::memcpy(key.bytes.data() + 16, theirs.data(), address);
  put16(key.bytes, 32, is_ours ? t.source_port : t.destination_port);
  put16(key.bytes, 34, is_ours ? t.destination_port : t.source_port);
  put16(key.bytes, 36, host);
  put16(key.bytes, 38, t.at.is_v6 ? 6 : 4);
  return key;
}

void wire_oracle::judge(node_id host) {
  if (judged_.size() <= host) judged_.resize(host + 1);
  judged_[host] = true;
}

void wire_oracle::forget(node_id host) {
  std::erase_if(flows_, [&](auto const& one) { return get16(one.first.bytes, 36) == host; });
}

void wire_oracle::violated(node_id host, std::string const& what, tcp_packet const* t) {
  if (!violation_.empty()) return;
  violation_ = std::string(world_.name(host)) + ": " + what;
  if (t != nullptr) violation_ += " (" + in_words(*t) + ")";
  world_.stop();
}

void wire_oracle::on_delivered(port_id to, frame const& arrived, instant) {
  if (to.node >= judged_.size() || !judged_[to.node]) return;
  std::span<std::byte const> const bytes = arrived.bytes;
  auto const t = tcp_packet::parse(bytes);
  if (!t || t->has(rst) || !wrong_checksums(bytes).empty()) return;
  auto& f = flows_[key_of(to.node, bytes, *t, false)];
  auto const scale = t->window_scale ? int{*t->window_scale} : -1;
  f.was_last_syn = t->has(syn);
  if (t->has(syn)) {
    bool const is_answer = t->has(ack) && f.has_sent_syn && t->acknowledgment == f.initial + 1;
    if (is_answer || (f.has_sent_syn && !f.has_received_syn)) {
      // An answer to our SYN, or its mirror image (simultaneous open).
      if (!f.has_received_syn) {
        f.has_received_syn = true;
        f.peer_initial = t->sequence;
        f.received_to = t->sequence + 1;
        f.peer_scale = scale;
      }
    } else if (!f.has_received_syn || t->sequence != f.peer_initial) {
      f.has_syn_seen = true;
      f.syn_seen = t->sequence;
      f.syn_seen_scale = scale;
    }
  }
  if (f.has_received_syn) {
    auto const end = t->sequence + t->length();
    if (distance(end, f.received_to) > 0) f.received_to = end;
    if (t->has(fin) && !f.has_received_fin) {
      f.has_received_fin = true;
      f.peer_fin = end;
    }
  }
  if (t->has(ack) && f.has_sent_fin && distance(t->acknowledgment, f.fin) >= 0) f.is_fin_acknowledged = true;
  if (t->has(ack) && f.has_sent_syn) take_reports(f, bytes, *t);
  if (t->has(ack)) {
    auto const edge = t->acknowledgment + (std::uint32_t{t->window} << (t->has(syn) ? 0u : f.peer_shift()));
    if (!f.has_peer_edge || distance(edge, f.peer_edge) > 0) f.peer_edge = edge;
    f.has_peer_edge = true;
  }
}

void wire_oracle::on_sent(port_id from, frame const& sent, instant) {
  if (from.node >= judged_.size() || !judged_[from.node]) return;
  std::span<std::byte const> const bytes = sent.bytes;
  if (auto const wrong = wrong_checksums(bytes); !wrong.empty()) return violated(from.node, wrong, nullptr);
  auto const t = tcp_packet::parse(bytes);
  if (!t) return;
  auto const key = key_of(from.node, bytes, *t, true);
  if (t->has(rst)) return judge_reset(key, *t, from.node);
  ++segments_;
  judge_segment(flows_[key], key, bytes, *t, from.node);
}

void wire_oracle::judge_syn(flow& f, flow_key const& key, tcp_packet const& t, node_id host) {
  auto const [known, is_new] = initials_.try_emplace({host, t.sequence}, key);
  if (!is_new && known->second != key) {
    return violated(host, "it begins with the number that another connection began with", &t);
  }
  if (!f.has_sent_syn || t.sequence != f.initial) return;
  auto const kind = t.has(ack) ? 1 : 0;
  auto const scale = t.window_scale ? int{*t.window_scale} : -1;
  if (f.syn_scale[kind] == -2) {
    f.syn_scale[kind] = scale;
    f.syn_sack[kind] = t.sack_permitted;
  } else if (f.syn_scale[kind] != scale || f.syn_sack[kind] != t.sack_permitted) {
    violated(host, "it is sent again with other options", &t);
  }
}

void wire_oracle::judge_reset(flow_key const& key, tcp_packet const& t, node_id host) {
  auto const known = flows_.find(key);
  if (known == flows_.end()) return;
  auto const& f = known->second;
  if (f.time_wait_since == never || f.was_last_syn) return;
  if (world_.local_now(host) - f.time_wait_since < time_wait) violated(host, "a reset in TIME-WAIT", &t);
}

void wire_oracle::take_reports(flow& f, std::span<std::byte const> bytes, tcp_packet const& t) {
  std::erase_if(f.reported, [&](auto const& one) { return distance(one[1], t.acknowledgment) <= 0; });
  for_each_block(bytes, t, [&](std::uint32_t left, std::uint32_t right) {
    constexpr std::size_t reported_max = 64;
    // Below what is acknowledged it reports a duplicate (RFC 2883).
    if (distance(left, t.acknowledgment) <= 0 || distance(right, left) <= 0) return;
    for (auto& one : f.reported) {
      if (distance(left, one[1]) > 0 || distance(one[0], right) > 0) continue;
      if (distance(left, one[0]) < 0) one[0] = left;
      if (distance(right, one[1]) > 0) one[1] = right;
      return;
    }
    if (f.reported.size() < reported_max) f.reported.push_back({left, right});
  });
}

void wire_oracle::judge_segment(flow& f, flow_key const& key, std::span<std::byte const> bytes,
                                tcp_packet const& t, node_id host) {
  if (t.has(syn)) judge_syn(f, key, t, host);
  if (t.has(syn) && (!f.has_sent_syn || t.sequence != f.initial)) {
    // A new incarnation. It may answer a SYN that came before ours left (a simultaneous open, too).
    auto const before = f;
    f = flow();
    f.has_sent_syn = true;
    f.initial = t.sequence;
    f.sent_to = t.sequence + 1;
    f.has_syn_seen = before.has_syn_seen;
    f.syn_seen = before.syn_seen;
    f.syn_seen_scale = before.syn_seen_scale;
    f.syn_scale[t.has(ack) ? 1 : 0] = t.window_scale ? int{*t.window_scale} : -1;
    f.syn_sack[t.has(ack) ? 1 : 0] = t.sack_permitted;
  }
  if (t.has(ack) && f.has_sent_syn && !f.has_received_syn && f.has_syn_seen &&
      t.acknowledgment == f.syn_seen + 1) {
    f.has_received_syn = true;
    f.peer_initial = f.syn_seen;
    f.received_to = f.syn_seen + 1;
    f.peer_scale = f.syn_seen_scale;
  }
  if (!f.has_sent_syn) return;  // it began before anybody looked
  if (t.has(syn)) f.scale = t.window_scale ? int{*t.window_scale} : -1;
  if (t.has(ack)) {
    if (!f.has_received_syn) return violated(host, "an acknowledgment of what never arrived", &t);
    if (distance(t.acknowledgment, f.received_to) > 0) {
      return violated(host, "an acknowledgment beyond what arrived, " + std::to_string(f.received_to), &t);
    }
    if (f.has_acknowledged && distance(t.acknowledgment, f.acknowledged) < 0) {
      return violated(host, "an acknowledgment goes back from " + std::to_string(f.acknowledged), &t);
    }
    auto const shift = t.has(syn) ? 0u : f.shift();
    auto const edge = t.acknowledgment + (std::uint32_t{t.window} << shift);
    if (f.has_acknowledged && distance(edge, f.edge) < -static_cast<std::int32_t>((1u << f.shift()) - 1)) {
      return violated(
          host, "the receive window shrinks from " + std::to_string(f.edge) + " to " + std::to_string(edge),
          &t);
    }
    if (!f.has_acknowledged || distance(edge, f.edge) > 0) f.edge = edge;
    f.acknowledged = t.acknowledgment;
    f.has_acknowledged = true;
    bool is_wrong = false;
    for_each_block(bytes, t, [&](std::uint32_t left, std::uint32_t right) {
      is_wrong = is_wrong || distance(right, left) <= 0 || distance(right, f.received_to) > 0;
    });
    if (is_wrong) return violated(host, "a SACK block of what never arrived", &t);
    // Whose FIN was out before it took the other's is in TIME-WAIT once both are acknowledged.
    if (f.has_received_fin && distance(t.acknowledgment, f.peer_fin) >= 0) {
      if (!f.has_sent_fin && !t.has(fin)) f.is_last_to_close = true;
      if (f.closes_first && f.is_fin_acknowledged && f.time_wait_since == never) {
        f.time_wait_since = world_.local_now(host);
      }
    }
  }
  if (t.has(fin) && !f.has_sent_fin) {
    f.has_sent_fin = true;
    f.fin = t.sequence + t.length();
    f.closes_first = !f.is_last_to_close &&
                     !(f.has_received_fin && t.has(ack) && distance(t.acknowledgment, f.peer_fin) >= 0);
  }
  auto const end = t.sequence + t.length();
  if (t.length() == 0) return;
  if (t.size() != 0) {
    ++data_segments_;
    if (distance(t.sequence, f.sent_to) < 0) ++retransmissions_;
    for (auto const& [left, right] : f.reported) {
      if (distance(t.sequence, left) >= 0 && distance(t.sequence + t.size(), right) <= 0) {
        ++needless_;
        break;
      }
    }
  }
  if (distance(end, f.sent_to) > 0) {
    // The window of a peer that was never heard is that of its SYN; a FIN needs no room.
    auto const data_end = end - (t.has(fin) ? 1u : 0u);
    if (!t.has(syn) && f.has_peer_edge && distance(data_end, f.peer_edge) > 0) {
      return violated(host, "data beyond the offered window, " + std::to_string(f.peer_edge), &t);
    }
    f.sent_to = end;
  }
}

}  // namespace morgana::sim
