// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/method.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

Error error_of(Selection selection) {
  const auto guest = open_guest(selection);
  return guest ? Error{Errc::io, "opened"} : guest.error();
}

TEST(OpenGuest, WantsExactlyOneGuest) {
  EXPECT_EQ(error_of({}).code, Errc::invalid);
  EXPECT_EQ(error_of({.socket = "/none", .domain = "vm"}).code, Errc::invalid);
  EXPECT_EQ(error_of({.method = Method::libvirt, .socket = "/none"}).code, Errc::invalid);
  EXPECT_EQ(error_of({.method = Method::qmp, .domain = "vm"}).code, Errc::invalid);
}

TEST(OpenGuest, TakesTheMethodThatFits) {
  const Error error = error_of({.socket = "/none"});
  EXPECT_EQ(error.code, Errc::not_found);
  EXPECT_EQ(error.message.substr(0, 5), "/none");
  EXPECT_EQ(error_of({.uri = "nosuchdriver:///", .domain = "vm"}).code, Errc::io);
}

TEST(OpenForSnapshot, HasAMethodOfItsOwn) {
  const auto error_of = [](const Selection& selection) {
    const auto guest = open_for_snapshot(selection);
    return guest ? Error{Errc::io, "opened"} : guest.error();
  };
  EXPECT_EQ(error_of({}).code, Errc::invalid);
  EXPECT_EQ(error_of({.method = Method::direct, .socket = "/none"}).code, Errc::invalid);
  EXPECT_EQ(error_of({.socket = "/none"}).code, Errc::not_found);
  const Error taint = error_of({.uri = "nosuchdriver:///", .domain = "vm"});
  EXPECT_EQ(taint.code, Errc::invalid);
  EXPECT_NE(taint.message.find("--allow-taint"), std::string::npos);
  EXPECT_EQ(error_of({.uri = "nosuchdriver:///", .domain = "vm", .allow_taint = true}).code,
            Errc::io);
}

TEST(MethodNames, AreThoseOfTheTable) {
  EXPECT_EQ(method_names(), (std::vector<std::string>{"auto", "direct", "qmp", "libvirt"}));
}

TEST(MethodNames, AreThoseOfTheMethods) {
  for (const Method method : {Method::direct, Method::qmp, Method::libvirt}) {
    EXPECT_EQ(method_from_name(method_name(method)), method);
  }
  EXPECT_EQ(method_name(Method::snapshot), "snapshot");
  EXPECT_FALSE(method_from_name("snapshot"));  // it is chosen by --consistency
  EXPECT_FALSE(method_from_name("auto"));
}

TEST(MethodsFor, AreThoseThatFit) {
  using Methods = std::vector<Method>;
  EXPECT_EQ(methods_for({.socket = "/none"}), (Methods{Method::direct, Method::qmp}));
  EXPECT_EQ(methods_for({.domain = "vm"}), (Methods{Method::direct, Method::libvirt}));
  EXPECT_EQ(methods_for({}), Methods{});
}

}  // namespace
}  // namespace vmcore::acquire
