// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/dump_format.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

Error error_of(const builders::Bytes& bytes) {
  const auto image = open_dump(builders::memory_file(bytes));
  EXPECT_FALSE(image);
  return image ? Error{} : image.error();
}

TEST(OpenDump, WhatNobodyKnowsIsNotRecognised) {
  EXPECT_EQ(error_of({}).code, Errc::not_recognised);
  EXPECT_EQ(error_of({}).message, "an empty file");
  EXPECT_EQ(error_of(builders::text("hello")).code, Errc::not_recognised);
  EXPECT_EQ(error_of(builders::zeros(10000)).code, Errc::not_recognised);
}

TEST(OpenDump, SaysWhatAFileLooksLike) {
  const Error error = error_of(builders::text(std::string("QEVM\0\0\0\3", 8)));
  EXPECT_EQ(error.code, Errc::not_recognised);
  EXPECT_NE(error.message.find("migration stream"), std::string::npos);
  EXPECT_NE(error_of(builders::text("LibvirtQemudSave....")).message.find("save image"),
            std::string::npos);
  EXPECT_NE(error_of(builders::text("\x1f\x8b\x08")).message.find("gzip"), std::string::npos);
}

TEST(OpenDump, AFlattenedStrangerIsNotRecognised) {
  EXPECT_EQ(error_of(builders::flattened(builders::text("hello"), 10)).code, Errc::not_recognised);
}

TEST(OpenDump, ASignatureAloneIsTruncated) {
  EXPECT_EQ(error_of(builders::text("KDUMP   ")).code, Errc::truncated);
  EXPECT_EQ(error_of(builders::text("\x7f"
                                    "ELF"))
                .code,
            Errc::truncated);
  EXPECT_EQ(error_of(builders::text(std::string("makedumpfile\0\0\0\0", 16))).code,
            Errc::truncated);
}

TEST(OpenDump, RefusesWhatCannotBeReadAtAnyPlace) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd writer(ends[1]);
  EXPECT_EQ(open_dump(Fd(ends[0])).error().code, Errc::invalid);
}

}  // namespace
}  // namespace vmcore::formats
