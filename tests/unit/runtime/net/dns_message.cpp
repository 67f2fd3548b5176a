#include <catch2/catch.hpp>

#include "morgana/net/dns/message.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using dns::name;

name named(std::string_view text) {
  return name::parse(text).value();
}

std::string text_of(name const& one) {
  fixed_text<1024> out;
  write_text(out, one);
  return std::string(out.view());
}

bytes raw(std::initializer_list<int> values) {
  bytes made;
  for (auto const one : values) made.push_back(static_cast<std::byte>(one));
  return made;
}

bytes text_bytes(std::string_view text) {
  auto const all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

}  // namespace

TEST_CASE("a domain name is read from text and written back", "[dns]") {
  CHECK(text_of(named("www.Example.org")) == "www.Example.org");
  CHECK(text_of(named("www.example.org.")) == "www.example.org");
  CHECK(text_of(named(".")) == ".");
  CHECK(named("_sip._tcp.example").labels() == 3);
  CHECK(named("a.b") == named("A.B"));
  CHECK_FALSE(named("a.b").is_identical(named("A.b")));
  CHECK(named("www.example.org").is_within(named("EXAMPLE.org")));
  CHECK(named("example.org").is_within(named("example.org")));
  CHECK(named("example.org").is_within(named(".")));
  CHECK_FALSE(named("badexample.org").is_within(named("example.org")));
}

TEST_CASE("text that is no domain name is refused", "[dns]") {
  for (auto const* text : {"", "..", "a..b", ".a", "a b", "a/b", "\xc3\xa4.org", "a\\046b"}) {
    CAPTURE(text);
    CHECK_FALSE(name::parse(text));
  }
  CHECK(name::parse(std::string(63, 'a')));
  CHECK_FALSE(name::parse(std::string(64, 'a')));
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  CHECK(name::parse(longest + "b"));  // 255 bytes on the wire
  CHECK_FALSE(name::parse(longest + "bc"));
}

TEST_CASE("a name's pointers are followed backwards only", "[dns]") {
  auto const message = text_bytes(std::string_view("\3org\0\7example\xc0\0\3www\xc0\5", 21));
  std::size_t at = 15;
  auto const read = name::read(message, at);
  REQUIRE(read);
  CHECK(text_of(*read) == "www.example.org");
  CHECK(at == 21);

  auto const refused = [](bytes const& all, std::size_t from) {
    auto const failed = name::read(all, from);
    REQUIRE_FALSE(failed);
    return failed.error();
  };
  CHECK(refused(raw({0xc0, 0}), 0) == wire::parse_error::wrong_option);          // itself
  CHECK(refused(raw({1, 'a', 0xc0, 0}), 0) == wire::parse_error::wrong_option);  // the name it is part of
  CHECK(refused(raw({0xc0, 2, 0xc0, 0}), 2) ==
        wire::parse_error::wrong_option);                                     // forwards, at the second jump
  CHECK(refused(raw({0x41, 'a', 0}), 0) == wire::parse_error::wrong_option);  // a label type of the past
  CHECK(refused(raw({3, 'a', 'b'}), 0) == wire::parse_error::too_short);
  CHECK(refused(raw({0xc0}), 0) == wire::parse_error::too_short);
  CHECK(refused(raw({1, 'a'}), 0) == wire::parse_error::too_short);
}

TEST_CASE("the pointers and the length of one name are limited", "[dns]") {
  // Each of these is "x" and a pointer to the one before.
  bytes chain = raw({0});
  std::vector<std::size_t> starts{0};
  for (std::size_t i = 0; i < 40; ++i) {
    starts.push_back(chain.size());
    auto const target = static_cast<int>(starts[i]);
    chain = chain + raw({1, 'x', 0xc0 | target >> 8, target & 0xff});
  }
  auto at = starts[name::pointers_max];
  CHECK(name::read(chain, at));
  at = starts[name::pointers_max + 1];
  CHECK(name::read(chain, at).error() == wire::parse_error::wrong_option);

  bytes large;
  for (int i = 0; i < 5; ++i) large = large + raw({63}) + bytes(63, std::byte{'a'});
  large.push_back({});
  at = 0;
  CHECK(name::read(large, at).error() == wire::parse_error::wrong_length);
}

TEST_CASE("a message that was written is read as it was meant", "[dns]") {
  std::array<std::byte, 512> buffer;
  dns::header head;
  head.id = 0x1234;
  head.is_response = true;
  head.recursion_desired = head.recursion_available = true;
  dns::message_writer writer(buffer, head);
  writer.add({named("www.example.org"), dns::record_type::a, dns::class_internet});
  writer.add_alias(named("www.example.org"), 300, named("host.example.org"));
  writer.add(named("host.example.org"), 60, ip("192.0.2.1"));
  writer.add(named("host.example.org"), 60, ip("2001:db8::1"));
  writer.add_authority(named("example.org"), 600, 120);
  writer.add_extension(1232);
  auto const message = writer.finish();

  auto reader = dns::message_reader::open(message).value();
  CHECK(reader.header().id == 0x1234);
  CHECK(reader.header().is_response);
  CHECK_FALSE(reader.header().is_truncated);
  CHECK(reader.next_question()->name == named("www.example.org"));
  CHECK_FALSE(reader.next_question());
  auto one = reader.next_record();
  CHECK(one->owner == named("www.example.org"));
  CHECK(reader.name_of(*one) == named("host.example.org"));
  one = reader.next_record();
  CHECK(dns::message_reader::address_of(*one) == ip("192.0.2.1"));
  CHECK(one->ttl_s == 60);
  one = reader.next_record();
  CHECK(dns::message_reader::address_of(*one) == ip("2001:db8::1"));
  one = reader.next_record();
  CHECK(one->section == dns::section::authority);
  CHECK(reader.authority_of(*one)->minimum_s == 120);
  one = reader.next_record();
  CHECK(one->type == dns::record_type::opt);
  CHECK(one->in_class == 1232);
  CHECK_FALSE(reader.next_record());
  CHECK_FALSE(reader.failure());

  // Cut anywhere, it is refused or ends early, and never reads beyond.
  for (std::size_t size = 0; size < message.size(); ++size) {
    bytes const part(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
    auto cut = dns::message_reader::open(part);
    if (!cut) continue;
    while (cut->next_record()) {
    }
    CHECK(cut->failure() == wire::parse_error::too_short);
  }
}

TEST_CASE("records of the wrong size have no address, no name and no authority", "[dns]") {
  std::array<std::byte, 512> buffer;
  dns::message_writer writer(buffer, {});
  writer.add(named("a"), dns::record_type::a, 1, bytes(5));
  writer.add(named("a"), dns::record_type::cname, 1, raw({1, 'a', 0, 0}));
  writer.add(named("a"), dns::record_type::soa, 1, raw({0, 0, 1, 2}));
  auto reader = dns::message_reader::open(writer.finish()).value();
  CHECK_FALSE(dns::message_reader::address_of(*reader.next_record()));
  CHECK_FALSE(reader.name_of(*reader.next_record()));
  CHECK_FALSE(reader.authority_of(*reader.next_record()));
}

TEST_CASE("a message that does not fit says so and is whole as far as it goes", "[dns]") {
  std::array<std::byte, 40> buffer;
  dns::message_writer writer(buffer, {});
  writer.add({named("example.org"), dns::record_type::a, dns::class_internet});
  CHECK_FALSE(writer.is_full());
  writer.add(named("example.org"), 1, ip("192.0.2.1"));
  CHECK(writer.is_full());
  auto reader = dns::message_reader::open(writer.finish()).value();
  CHECK(reader.header().questions == 1);
  CHECK(reader.header().answers == 0);
  CHECK_FALSE(reader.next_record());
  CHECK_FALSE(reader.failure());
}

}  // namespace morgana::net::testing
