// Objects of one type in chunks that are never given back before the end: taking and giving one is a few
// instructions, and nothing is allocated once the largest number ever needed was reached.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace morgana::net::tcp {

template <class T>
class slab {
 public:
  explicit slab(std::size_t chunk_objects) : chunk_objects_(chunk_objects) {}
  slab(slab const&) = delete;
  slab& operator=(slab const&) = delete;
  /// The owner has given every object back by now, or does not mind that destructors do not run.
  ~slab() = default;

  template <class... Arguments>
  [[nodiscard]] T* take(Arguments&&... arguments) {
    if (free_ == nullptr) grow();
    auto* const place = free_;
    free_ = place->next;
    ++used_;
    return new (static_cast<void*>(place)) T(std::forward<Arguments>(arguments)...);
  }
  void give(T* object) {
    object->~T();
    auto* const place = new (static_cast<void*>(object)) hole;
    place->next = free_;
    free_ = place;
    --used_;
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  struct hole {
    hole* next = nullptr;
  };
  struct alignas(T) alignas(hole) place {
    std::byte bytes[sizeof(T) < sizeof(hole) ? sizeof(hole) : sizeof(T)];
  };
  void grow() {
    chunks_.push_back(std::make_unique_for_overwrite<place[]>(chunk_objects_));
    for (std::size_t i = chunk_objects_; i-- > 0;) {
      auto* const one = new (static_cast<void*>(&chunks_.back()[i])) hole;
      one->next = free_;
      free_ = one;
    }
  }
  std::size_t chunk_objects_;
  std::size_t used_ = 0;
  hole* free_ = nullptr;
  std::vector<std::unique_ptr<place[]>> chunks_;
};

}  // namespace morgana::net::tcp
