#pragma once

#include <morgana/full.hpp>

#include "defaults.hpp"

namespace website {

using namespace morgana;
using namespace std::chrono_literals;

enum class log_level { quiet, normal, loud };

template <class Number>
struct limits {
  /// Most connections at once.
  Number connections_max = Number{16} * 4;
  Number backlog = 8;
};

struct network_options {
  /**
   * How long a peer may be silent
   * before it is sent away.
   *
   * Then it must come again.
   */
  std::chrono::seconds idle_timeout = 2min;
  std::chrono::duration<double> jitter{0.5};
  std::chrono::milliseconds retry_after = defaults::retry;
};

struct options : network_options, limits<unsigned> {
  /// \brief Port to listen on.
  std::uint16_t port = 8080;
  std::string_view index = "index.html";  ///< The page of a folder.
  std::string greeting{"Hello, \"world\""};
  std::string motto = defaults::motto();
  log_level level = log_level::loud;
  double ratio = 1.0 / 4;
  float factor = 0.1f;
  bool compress{};
  std::int64_t offset = -(std::int64_t{1} << 40);
  std::optional<int> workers;
  int no_default;  // an ordinary comment is not documentation
  std::uint64_t const largest = ~std::uint64_t{0};
  static constexpr int not_an_option = 1;
};

template <class Store>
  requires key_value_store<Store> && (sizeof(Store) > 0)
task<result<void>> start(net::stack auto& network, Store& htdocs, option_set<options> auto const& opt) {
  co_return this_is_found_by_the_compiler;
}

}  // namespace website
