#include <cstring>
#include <string>

#include "morgana/sim/oracle.hpp"

namespace morgana::sim {

namespace {

/// a - b of sequence numbers.
std::int32_t distance(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b);
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
  }
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
  if (!t || t->has(rst)) return;
  ++segments_;
  judge_segment(flows_[key_of(from.node, bytes, *t, true)], bytes, *t, from.node);
}

void wire_oracle::judge_segment(flow& f, std::span<std::byte const> bytes, tcp_packet const& t,
                                node_id host) {
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
    for (auto i = t.options; i + 1 < t.payload;) {
      auto const kind = get8(bytes, i);
      if (kind == 0) break;
      auto const size = kind == 1 ? 1u : get8(bytes, i + 1);
      for (std::size_t block = i + 2; kind == 5 && block + 8 <= i + size; block += 8) {
        auto const left = get32(bytes, block);
        auto const right = get32(bytes, block + 4);
        if (distance(right, left) <= 0 || distance(right, f.received_to) > 0) {
          return violated(host, "a SACK block of what never arrived", &t);
        }
      }
      if (size == 0) break;
      i += size;
    }
  }
  auto const end = t.sequence + t.length();
  if (t.length() == 0) return;
  if (t.size() != 0) {
    ++data_segments_;
    if (distance(t.sequence, f.sent_to) < 0) ++retransmissions_;
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
