// DNS messages (RFC 1034, RFC 1035; RFC 6891 for EDNS): read record by record in place, written front to
// back.
//
//   auto reader = message_reader::open(bytes);
//   while (auto next = reader->next_question()) ...        // nothing: no more, or reader->failure()
//   while (auto next = reader->next_record()) ...
//
// A reader believes no count and no length: it stops at the first thing that runs past the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/dns/name.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::dns {

enum class record_type : std::uint16_t {
  a = 1,
  ns = 2,
  cname = 5,
  soa = 6,
  ptr = 12,
  mx = 15,
  txt = 16,
  aaaa = 28,
  srv = 33,
  opt = 41,
  any = 255,
};
inline constexpr std::uint16_t class_internet = 1;

/// RFC 1035 4.1.1; with EDNS twelve bits (RFC 6891 6.1.3).
enum class response_code : std::uint16_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  no_such_name = 3,
  not_implemented = 4,
  refused = 5,
};

struct header {
  static constexpr std::size_t size_bytes = 12;

  std::uint16_t id = 0;
  bool is_response = false;
  std::uint8_t opcode = 0;
  bool is_authoritative = false;
  bool is_truncated = false;
  bool recursion_desired = false;
  bool recursion_available = false;
  response_code code = response_code::no_error;
  std::uint16_t questions = 0, answers = 0, authorities = 0, additionals = 0;

  void emit(std::span<std::byte> into) const;
  /// Errors: too_short.
  [[nodiscard]] static wire::parsed<header> parse(std::span<std::byte const> message);
};

struct question {
  dns::name name;
  record_type type = record_type::a;
  std::uint16_t in_class = class_internet;
};

enum class section : std::uint8_t { answer, authority, additional };

struct record {
  dns::name owner;
  record_type type = record_type::a;
  std::uint16_t in_class = class_internet;  ///< of OPT: the largest UDP payload
  std::uint32_t ttl_s = 0;                  ///< as sent
  dns::section section = section::answer;
  std::span<std::byte const> data;
  std::size_t data_offset = 0;  ///< in the message, for names within
};

/// What a negative answer is remembered by (RFC 2308 3).
struct start_of_authority {
  std::uint32_t ttl_s = 0;
  std::uint32_t minimum_s = 0;
};

class message_reader {
 public:
  /// Errors: too_short. `message` must live as long as the reader.
  [[nodiscard]] static wire::parsed<message_reader> open(std::span<std::byte const> message);

  [[nodiscard]] dns::header const& header() const { return header_; }
  /// Nothing after the last one, or when the message is malformed: then failure() says how.
  [[nodiscard]] std::optional<question> next_question();
  /// Records of all sections, in order. Questions that were not read are passed over.
  [[nodiscard]] std::optional<record> next_record();
  [[nodiscard]] std::optional<wire::parse_error> failure() const { return failure_; }

  /// The address in a record of type A or AAAA; nothing when its length is wrong.
  [[nodiscard]] static std::optional<ip_address> address_of(record const& one);
  /// The name that a CNAME, NS or PTR record's data is.
  [[nodiscard]] std::optional<dns::name> name_of(record const& one) const;
  [[nodiscard]] std::optional<start_of_authority> authority_of(record const& one) const;

 private:
  explicit message_reader(std::span<std::byte const> message) : message_(message) {}
  std::span<std::byte const> message_;
  dns::header header_;
  std::size_t at_ = dns::header::size_bytes;
  std::uint16_t questions_read_ = 0;
  std::uint32_t records_read_ = 0;
  std::optional<wire::parse_error> failure_;
};

/// Writes into a buffer; when it is full the message says so (is_full()), and nothing is half written. Names
/// equal to the first question's become a pointer.
class message_writer {
 public:
  /// `into` holds at least header::size_bytes.
  message_writer(std::span<std::byte> into, dns::header const& head);

  void add(question const& one);
  void add(name const& owner, record_type type, std::uint32_t ttl_s, std::span<std::byte const> data,
           section where = section::answer);
  void add(name const& owner, std::uint32_t ttl_s, ip_address const& address);
  void add_alias(name const& owner, std::uint32_t ttl_s, name const& target);
  /// RFC 2308 2.1.
  void add_authority(name const& zone, std::uint32_t ttl_s, std::uint32_t minimum_s);
  /// The OPT record (RFC 6891 6.1.2): the largest UDP message its sender takes.
  void add_extension(std::uint16_t udp_bytes_max);

  [[nodiscard]] bool is_full() const { return is_full_; }
  /// The message so far, its counts right.
  [[nodiscard]] std::span<std::byte const> finish();

 private:
  bool put(std::span<std::byte const> bytes);
  bool put_owner(name const& owner);
  std::span<std::byte> into_;
  dns::header header_;
  std::size_t size_ = dns::header::size_bytes;
  std::optional<name> asked_;
  bool is_full_ = false;
};

}  // namespace morgana::net::dns
