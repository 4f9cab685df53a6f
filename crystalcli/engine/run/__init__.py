"""What every run needs: settings, its folder, files that are whole or not there, signals, the device."""
