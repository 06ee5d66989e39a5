// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/json.h"

#include <gtest/gtest.h>

namespace vmcore::report {
namespace {

TEST(Members, GiveWhatIsThere) {
  const Json json = Json::parse(R"({"number": 18446744073709551615, "signed": -3, "half": 0.5,
      "yes": true, "text": "a", "where": "0x1000", "object": {"in": 1}, "list": [1], "null": null})");
  const Members members(json);
  EXPECT_EQ(members.number("number"), UINT64_MAX);
  EXPECT_EQ(members.signed_number("signed"), -3);
  EXPECT_EQ(members.fraction("half"), 0.5);
  EXPECT_TRUE(members.flag("yes"));
  EXPECT_EQ(members.text("text"), "a");
  EXPECT_EQ(members.address("where"), 0x1000U);
  EXPECT_EQ(members.object("object").number("in"), 1U);
  EXPECT_EQ(members.list("list", 1).size(), 1U);
  EXPECT_FALSE(members.has("null"));
  EXPECT_FALSE(members.has("missing"));
  EXPECT_EQ(members.maybe_number("null"), std::nullopt);
  EXPECT_EQ(members.text_or_empty("missing"), "");
}

// Of another type, out of bounds, or missing.
TEST(Members, RefuseWhatDoesNotFit) {
  const Json values = Json::parse(R"([null, true, -1, 0.5, 1e300, "", "0x", "0xg", "1000",
      "0x10000000000000000", [], [1, 2], {}, {"a": 1, "b": 2}])");
  for (const Json& value : values) {
    const Json json{{"member", value}};
    const Members members(json);
    const auto number = [](const Json& v) { return v.is_number_unsigned(); };
    if (!number(value)) {
      EXPECT_THROW(members.number("member"), Misfit) << value;
    }
    if (!value.is_boolean()) {
      EXPECT_THROW(members.flag("member"), Misfit) << value;
    }
    if (!value.is_string()) {
      EXPECT_THROW(members.text("member"), Misfit) << value;
    }
    EXPECT_THROW(members.address("member"), Misfit) << value;
    if (!value.is_array() || value.size() > 1) {
      EXPECT_THROW(members.list("member", 1), Misfit) << value;
    }
    if (!value.is_object() || value.size() > 1) {
      EXPECT_THROW(members.table("member", 1), Misfit) << value;
    }
    EXPECT_THROW(members.number("another"), Misfit);
  }
  const Json json{{"number", 5}, {"long", std::string(31, 'x')}};
  EXPECT_THROW(Members(json).number("number", 4), Misfit);
  EXPECT_THROW(Members(json).text("long", 10), Misfit);
  EXPECT_THROW(Members(Json::array()), Misfit);
}

TEST(ParseDocument, RefusesWhatIsNoDocument) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("\xff"),
                                  std::string(100'000, '['), std::string("{\"a\": nan}")}) {
    const auto document = parse_document(text);
    ASSERT_FALSE(document);
    EXPECT_EQ(document.error().code, Errc::malformed);
    EXPECT_LT(document.error().message.size(), 300U);
  }
}

TEST(Remarks, AreBounded) {
  const Json json = remarks_json(std::vector<Remark>(1000, {Errc::io, std::string(5000, 'x')}));
  ASSERT_EQ(json.size(), kMaxRemarks + 1);
  EXPECT_EQ(json[0]["text"].get<std::string>().size(), kMaxText);
  EXPECT_EQ(json[kMaxRemarks]["code"], "limit");
}

TEST(Remarks, KeepTheirSeverity) {
  const std::vector<Remark> remarks =
      remarks_from(remarks_json({{Errc::io, "a doubt"}, {Errc::limit, "a fact", Severity::fact}}));
  ASSERT_EQ(remarks.size(), 2U);
  EXPECT_EQ(remarks[0].severity, Severity::warning);
  EXPECT_EQ(remarks[1].severity, Severity::fact);
  EXPECT_EQ(remarks[1].code, Errc::limit);
  EXPECT_THROW(remarks_from(Json::parse(R"([{"code": "io", "severity": "worse", "text": ""}])")),
               Misfit);
}

TEST(Schema, MustBeTheOneThatIsKnown) {
  EXPECT_NO_THROW(expect_schema(Members(Json{{"schema", "a/1"}}), "a/1"));
  for (const char* other : {"a/2", "a", "b/1", ""}) {
    const Json json{{"schema", other}};
    EXPECT_THROW(expect_schema(Members(json), "a/1"), Misfit);
  }
  EXPECT_THROW(expect_schema(Members(Json::object()), "a/1"), Misfit);
}

}  // namespace
}  // namespace vmcore::report
