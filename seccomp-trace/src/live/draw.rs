//! The picture: functions from what is known to widgets. Nothing here changes what is known.
