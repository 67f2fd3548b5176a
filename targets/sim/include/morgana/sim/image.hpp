// The image of a simulated host (NAME.sim.so), loaded once into memory; sim::guest maps private copies of it.
//
// A loader of our own instead of dlopen: an image has no undefined symbol and belongs to no namespace, so a
// copy is some mappings and relocations (relative ones, mostly): no name is looked up, code is shared by all
// copies, and unloading one is unmapping it, in whatever state its host was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace morgana::sim {

class image {
 public:
  /// The whole file is read and checked; what later happens to it does not matter. Errors, in words: it
  /// cannot be read, it is no image of the simulator's (and what it is instead), or it needs what this loader
  /// does not do.
  [[nodiscard]] static std::expected<std::shared_ptr<image const>, std::string> open(std::string const& path);
  ~image();
  image(image const&) = delete;
  image& operator=(image const&) = delete;

  [[nodiscard]] std::string const& path() const { return path_; }
  /// Address space of a copy, bytes: whole pages.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Maps a copy at `base`, which has size() bytes of address space reserved; everything but its thread-local
  /// variables, which are at `thread_local_block` (thread_local_size() bytes, aligned to 64).
  [[nodiscard]] std::expected<void, std::string> map_at(std::byte* base, std::byte* thread_local_block) const;
  [[nodiscard]] std::size_t thread_local_size() const { return thread_local_size_; }
  /// Of a copy: pages of its own from the start.
  [[nodiscard]] std::size_t writable_bytes() const;
  [[nodiscard]] std::uintptr_t entry() const { return entry_; }

  [[nodiscard]] bool is_code(std::uintptr_t offset) const;
  /// The function that holds this offset, mangled, from the image's symbols or those of PATH.debug beside it;
  /// empty when neither has any.
  [[nodiscard]] std::string_view function_at(std::uintptr_t offset) const;

 private:
  struct segment {
    std::uintptr_t address = 0;
    std::size_t memory_bytes = 0, file_bytes = 0;
    std::uint64_t file_offset = 0;
    int protection = 0;
  };
  struct function {
    std::uintptr_t begin = 0;
    std::size_t size = 0;
    std::string name;
  };
  image() = default;
  [[nodiscard]] std::expected<void, std::string> parse();
  [[nodiscard]] std::expected<void, std::string> relocate(std::byte* base,
                                                          std::byte* thread_local_block) const;
  void read_functions() const;

  std::string path_;
  int memory_ = -1;  ///< the file's bytes, in a memory file
  std::vector<std::byte> bytes_;
  std::vector<segment> segments_;
  segment relro_, thread_local_;
  std::size_t size_ = 0, thread_local_size_ = 0;
  std::uintptr_t entry_ = 0;
  std::uint64_t relocations_ = 0, relocations_bytes_ = 0, symbols_ = 0;
  mutable std::vector<function> functions_;  ///< read when the first name is asked for
  mutable bool has_functions_ = false;
};

}  // namespace morgana::sim
