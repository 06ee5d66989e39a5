// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/memory_layers.h"

#include <algorithm>
#include <array>

namespace vmcore::show {
namespace {

using Part = Layer::Part;

struct Paint {
  std::string_view name;  // of a class
  Part part;
  std::string_view colour;
  std::string_view title;  // where pages of zeros are told from others; empty: the class's own
};

// From below. What is in use has colours that the colour-blind tell apart (after Okabe and Ito,
// Color Universal Design, 2008): the kernel's warm, the users' blue, the cache green. What nobody
// uses is pale.
constexpr std::array kPaints{
    Paint{"kernel", Part::all, "#d55e00", ""},
    Paint{"slab", Part::all, "#f0a830", ""},
    Paint{"user", Part::all, "#0072b2", ""},
    Paint{"cache", Part::all, "#009e73", ""},
    Paint{"private_cache", Part::all, "#7fd1b9", ""},
    Paint{"hwpoison", Part::all, "#000000", ""},
    Paint{"offline", Part::all, "#cc79a7", ""},
    Paint{"unaccepted", Part::all, "#b9a8d8", ""},
    Paint{"offline_section", Part::all, "#8c6d8f", ""},
    Paint{"no_memmap", Part::all, "#8a8f94", ""},
    Paint{"free", Part::but_zero, "#c3d1dd", "free, used before"},
    Paint{"free", Part::zero, "#eaf0f5", "free, zero: untouched"},
};
constexpr std::string_view kOther = "#5b5f63";  // a class that is not known here

void add(std::vector<Layer>& layers, const report::MemoryReport& report, Layer layer) {
  for (const report::BinUse& bin : report.bins) {
    layer.pages += layer.pages_of(bin);
  }
  if (layer.pages != 0) {
    layers.push_back(std::move(layer));
  }
}

}  // namespace

std::uint64_t Layer::pages_of(const report::BinUse& bin) const {
  switch (part) {
    case Part::zero:
      return bin.free_zero;
    case Part::but_zero:
      return bin.pages[of_class] - bin.free_zero;
    default:
      return bin.pages[of_class];
  }
}

std::vector<Layer> layers_of(const report::MemoryReport& report) {
  std::vector<Layer> layers;
  std::vector<bool> painted(report.classes.size());
  for (const Paint& paint : kPaints) {
    for (std::size_t i = 0; i < report.classes.size(); ++i) {
      const report::ClassCount& use = report.classes[i];
      if (use.name == paint.name) {
        painted[i] = true;
        add(layers, report,
            {i, paint.part, paint.part == Part::zero ? "zero" : use.name,
             paint.title.empty() || report.free_zero == 0 ? use.title : std::string(paint.title),
             paint.colour, 0});
      }
    }
  }
  for (std::size_t i = 0; i < report.classes.size(); ++i) {
    if (!painted[i]) {
      add(layers, report,
          {i, Part::all, report.classes[i].name, report.classes[i].title, kOther, 0});
    }
  }
  return layers;
}

}  // namespace vmcore::show
