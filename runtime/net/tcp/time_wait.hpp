// Connections that only wait for late segments (RFC 9293 3.3.2): a small record each. All wait equally long,
// so the queue is in the order of their ends.
#pragma once

#include "flow.hpp"
#include "list.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "slab.hpp"

namespace morgana::net::tcp {

struct time_wait_tag;

struct time_wait : flow, hook<time_wait_tag> {
  explicit time_wait(flow_key const& key) : flow(key, flow_kind::time_wait) {}
  wire::sequence send_next, receive_next;
  std::uint32_t recent_timestamp = 0;
  std::uint32_t timestamp_offset = 0;
  std::uint16_t window = 0;
  bool timestamps = false;
  instant end{};
};

struct time_wait_table {
  slab<time_wait> entries{64};
  list<time_wait, time_wait_tag> queue;
};

}  // namespace morgana::net::tcp
