# Install rules and cpack: .deb, .rpm and a relocatable tarball.
