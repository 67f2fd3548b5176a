// What drivers of devices need of their guest: grants, events, xenstore. One per guest; a unit test brings its own,
// with a backend behind it.
//
// Whoever waits for a backend is a listener. Each is asked whenever events may have come, whichever port they came
// by: it looks at its rings, which takes a few instructions, and completes what waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "grant_table.hpp"
#include "interface.hpp"
#include "morgana/core/result.hpp"
#include "store.hpp"

namespace morgana::xen {

class driver_host;

/// How it goes on after a suspend that was asked for.
enum class resumption : std::uint8_t {
  cancelled,  ///< as if nothing had been
  elsewhere   ///< in another domain: backends do not know us, grants give no rights, ports are closed
};

/// Registered for as long as it lives.
class event_listener {
 public:
  event_listener(event_listener const&) = delete;
  event_listener& operator=(event_listener const&) = delete;

 protected:
  explicit event_listener(driver_host& on);
  ~event_listener();

 private:
  friend class driver_host;
  /// Completes what can be; must not resume coroutines, nor make or end listeners.
  virtual void events_came() = 0;
  /// The guest is to be suspended: nothing new is begun, until resumed(). True once nothing is out and no handshake is
  /// under way; asked again until then.
  [[nodiscard]] virtual bool quiesce() { return true; }
  /// Elsewhere, every grant is renewed here, and none ends; connecting again is the listener's business.
  virtual void resumed(resumption) {}
  driver_host* on_;
  event_listener* next_;
};

class driver_host {
 public:
  driver_host(driver_host const&) = delete;
  driver_host& operator=(driver_host const&) = delete;

  /// The guest's own, made when first asked for. Null where there is no Xen.
  [[nodiscard]] static driver_host* of_guest();

  grant_table grants;
  xen::store store;

  /// A port that the domain `other` may bind to, and whose events wake us. Errors: driver_error::no_port (detail is
  /// Xen's errno).
  [[nodiscard]] virtual result<event_port> open_port(domain other) = 0;
  virtual void close_port(event_port port) = 0;
  virtual void send_event(event_port port) = 0;
  /// Of a page of the heap or of the image, for a grant.
  [[nodiscard]] virtual std::uint32_t frame_of(void const* page) const = 0;

  /// Whole pages of the heap that nothing of the guest's stands in: cleared, or never used. Empty when there is no
  /// memory. Given back by free().
  [[nodiscard]] virtual std::span<std::byte> take_pages(std::size_t count);
  /// A page of zeros between pages that are not mapped, so that who reads or writes past it dies; empty when none is left,
  /// or the platform has none.
  [[nodiscard]] virtual std::span<std::byte> take_guarded() { return {}; }
  /// Gives it back. False when it was no such page.
  [[nodiscard]] virtual bool give_guarded(std::byte*) { return false; }

  /// Tells the listeners.
  void events_came() {
    for (auto* one = first_; one != nullptr; one = one->next_) one->events_came();
  }
  /// Before a suspend: true once all listeners are quiet and no request to xenstore is out.
  [[nodiscard]] bool quiesce();
  /// After it, or when it was called off. Elsewhere the table of grants is there again, and xenstore.
  void resumed(resumption how);

 protected:
  explicit driver_host(store_link& link) : store(link) {}
  ~driver_host() = default;

 private:
  friend class event_listener;
  event_listener* first_ = nullptr;
};

/// An event channel; closed by its destructor.
class bound_port {
 public:
  bound_port() = default;
  bound_port(driver_host& on, event_port port) : on_(&on), port_(port) {}
  bound_port(bound_port&& other) noexcept : on_(std::exchange(other.on_, nullptr)), port_(other.port_) {}
  bound_port& operator=(bound_port&& other) noexcept {
    if (this != &other) {
      close();
      on_ = std::exchange(other.on_, nullptr);
      port_ = other.port_;
    }
    return *this;
  }
  ~bound_port() { close(); }
  [[nodiscard]] event_port number() const { return port_; }
  void notify() const { on_->send_event(port_); }
  /// It is no port any more: the guest goes on as another domain.
  void forget() { on_ = nullptr; }

 private:
  void close() {
    if (auto* const on = std::exchange(on_, nullptr); on != nullptr) on->close_port(port_);
  }
  driver_host* on_ = nullptr;
  event_port port_ = 0;
};

/// Whole pages with a grant each, for one backend: what rings lie in. A single page is a guarded one where there is
/// one left.
class shared_pages {
 public:
  static constexpr std::size_t pages_max = 16;

  shared_pages() = default;
  shared_pages(shared_pages&& other) noexcept;
  shared_pages& operator=(shared_pages&& other) noexcept;
  /// Pages whose grant does not end are never used again (end()).
  ~shared_pages() { (void)end(); }

  /// Zeroed. Errors: core_error::out_of_memory, driver_error::no_grant, core_error::invalid_argument (more than
  /// pages_max).
  [[nodiscard]] static result<shared_pages> make(driver_host& on, domain with, std::size_t count);

  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
  [[nodiscard]] std::size_t count() const { return memory_.size() / grant_page_bytes; }
  [[nodiscard]] grant_reference reference(std::size_t page) const { return grants_[page].reference(); }

  /// After grant_table::restart(): the same pages and references for a backend.
  void renew(domain with);

  /// Ends the grants and gives the memory back. False when the backend has one of them mapped: nothing is given back
  /// then, and it may be tried again.
  [[nodiscard]] bool end();

 private:
  driver_host* on_ = nullptr;
  std::span<std::byte> memory_;
  grant grants_[pages_max];
};

enum class driver_error : std::uint8_t {
  no_grant,          ///< the grant table is full; detail is its size
  no_port,           ///< Xen gives no event channel
  backend_missing,   ///< its domain does not serve the device
  backend_failed,    ///< it closed, or its hotplug script failed
  backend_lied,      ///< it broke the protocol of the rings
  page_still_mapped  ///< it has answered, and still holds a page
};
[[nodiscard]] error_domain const& domain_of(driver_error);

}  // namespace morgana::xen
