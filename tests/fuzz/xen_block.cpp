// Fuzzes what a block backend may do with its side of the ring: any responses, any indices, at any moment
// between the frontend's requests. Nothing may be read or written outside of the ring and the pages, each
// owner is told at most once, and what is broken stays so.
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "common/block_queue.hpp"
#include "input.hpp"

using namespace morgana::xen;

namespace morgana::xen {

// There is no guest here.
driver_host* driver_host::of_guest() {
  return nullptr;
}

}  // namespace morgana::xen

namespace {

class quiet_link final : public store_link {
 public:
  void attach(store_user&) override {}
  [[nodiscard]] store_client& client() override { return client_; }
  void flush() override {}

 private:
  store_client client_;
};

class lone_host final : public driver_host {
 public:
  explicit lone_host(store_link& link) : driver_host(link) { grants.start(table); }
  [[nodiscard]] morgana::result<event_port> open_port(domain) override { return event_port{1}; }
  void close_port(event_port) override {}
  void send_event(event_port) override {}
  [[nodiscard]] std::uint32_t frame_of(void const*) const override { return 1; }
  std::array<grant_entry, 256> table{};
};

struct request final : block_queue::owner {
  std::uint32_t number = 0;
  std::size_t bytes = 0;
  bool has_ended = false;
  void ended(std::int16_t) override {
    fuzz::require(!has_ended);
    has_ended = true;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(unsigned char const* data, std::size_t size) {
  fuzz::input from{{data, size}};
  quiet_link link;
  auto const host = std::make_unique<lone_host>(link);
  block_pages pages;
  fuzz::require(pages.make(*host, 0, 20).has_value());
  auto ring = shared_pages::make(*host, 0, 1);
  fuzz::require(ring.has_value());
  auto& head = *reinterpret_cast<ring_head*>(ring->memory().data());
  auto const queue = std::make_unique<block_queue>(ring->memory(), pages);
  queue->allow_indirect(from.take());
  std::vector<std::unique_ptr<request>> requests;
  static std::byte memory[20 * grant_page_bytes];
  while (!from.empty()) {
    switch (from.take() % 6) {
      case 0:
      case 1: {
        auto one = std::make_unique<request>();
        one->bytes = queue->room((1 + from.take() % 200) * block_wire::sector_bytes);
        if (one->bytes == 0) break;
        one->number = from.take() % 2 == 0
                          ? queue->read(*one, from.take32(), one->bytes)
                          : queue->write(*one, from.take32(), std::span(memory).first(one->bytes));
        requests.push_back(std::move(one));
        static_cast<void>(queue->publish());
        break;
      }
      case 2:
        if (!requests.empty()) {
          auto const at = requests.begin() + from.take() % static_cast<std::ptrdiff_t>(requests.size());
          if ((*at)->has_ended) queue->copy_out((*at)->number, std::span(memory).first((*at)->bytes));
          queue->release((*at)->number);
          requests.erase(at);
        }
        break;
      case 3:
        // A response like a true one, or not.
        {
          block_wire::response const made{.id = from.take() % 40u,
                                          .what = static_cast<block_wire::operation>(from.take()),
                                          .status = static_cast<std::int16_t>(from.take32())};
          auto const slot = head.responses_put++ % 32;
          std::memcpy(ring->memory().data() + sizeof(ring_head) + slot * sizeof(block_wire::request), &made,
                      sizeof made);
          break;
        }
      case 4:
        head.responses_put = from.take32();
        break;
      default: {
        auto const was_broken = queue->broken();
        queue->poll();
        fuzz::require(!was_broken || queue->broken());
        fuzz::require(!queue->broken() || queue->room(block_wire::sector_bytes) == 0);
      }
    }
  }
  for (auto const& one : requests) queue->release(one->number);
  fuzz::require(pages.end() && ring->end());
  return 0;
}
