//! The service control manager of Windows.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::oneshot;
use windows_service::service::{
    ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept,
    ServiceErrorControl, ServiceExitCode, ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo,
    ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use crate::error::{Context, Error, Result};
use crate::settings::Home;

const NAME: &str = "jumpbag-agent";

/// Installs a service that starts with the machine, and starts it.
///
/// # Errors
/// When Windows refuses.
pub fn install(data: &Path) -> Result<String> {
    let refused = || format!("cannot install the service `{NAME}`");
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = ServiceManager::local_computer(None::<&str>, access).map_err(told).context(refused)?;
    let program = std::env::current_exe().context(refused)?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: "jumpbag agent".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program,
        launch_arguments: vec!["service".into(), "serve".into(), "--data-dir".into(), data.into()],
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    };
    let access = ServiceAccess::START | ServiceAccess::CHANGE_CONFIG;
    let service = manager.create_service(&info, access).map_err(told).context(refused)?;
    // As systemd does it: whatever ends the agent, it comes back.
    let again = ServiceAction { action_type: ServiceActionType::Restart, delay: Duration::from_secs(5) };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(86_400)),
        reboot_msg: None,
        command: None,
        actions: Some(vec![again.clone(), again.clone(), again]),
    };
    service.update_failure_actions(actions).map_err(told).context(refused)?;
    service.set_failure_actions_on_non_crash_failures(true).map_err(told).context(refused)?;
    service.start::<OsString>(&[]).map_err(told).context(|| format!("cannot start the service `{NAME}`"))?;
    Ok(format!("installed and started `{NAME}`"))
}

/// # Errors
/// When Windows refuses.
pub fn uninstall() -> Result<String> {
    let refused = || format!("cannot remove the service `{NAME}`");
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)
        .map_err(told)
        .context(refused)?;
    let service = manager
        .open_service(NAME, ServiceAccess::STOP | ServiceAccess::DELETE)
        .map_err(told)
        .context(refused)?;
    // It may be stopped already.
    let _ = service.stop();
    service.delete().map_err(told).context(refused)?;
    Ok(format!("stopped and removed `{NAME}`; the data folder is still there"))
}

/// # Errors
/// When the service is not there.
pub fn status() -> Result<String> {
    let unknown = || format!("cannot look at the service `{NAME}`");
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)
        .map_err(told)
        .context(unknown)?;
    let service = manager.open_service(NAME, ServiceAccess::QUERY_STATUS).map_err(told).context(unknown)?;
    let status = service.query_status().map_err(told).context(unknown)?;
    let told = format!("`{NAME}` is {:?}", status.current_state).to_lowercase();
    if status.current_state == ServiceState::Running { Ok(told) } else { Err(Error::new(told)) }
}

/// What Windows said.
fn told(error: windows_service::Error) -> String {
    match error {
        windows_service::Error::Winapi(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// The data folder, for the function that Windows calls.
static HOME: Mutex<Option<Home>> = Mutex::new(None);

/// What the service control manager starts: runs the agent until Windows says stop.
///
/// # Errors
/// When it was not Windows that started it.
pub fn serve(home: Home) -> Result<()> {
    // A service has no standard error.
    crate::log::into_file(&home.log())?;
    if let Ok(mut place) = HOME.lock() {
        *place = Some(home);
    }
    service_dispatcher::start(NAME, begin)
        .map_err(told)
        .context(|| "this command is for Windows to start".into())
}

define_windows_service!(begin, served);

fn served(_: Vec<OsString>) {
    if let Err(error) = serving() {
        crate::say!("{error}");
    }
}

fn serving() -> Result<()> {
    let failed = || "cannot talk to the service control manager".to_owned();
    let home = HOME.lock().ok().and_then(|mut place| place.take());
    let home = home.ok_or_else(|| Error::new("the data folder is not known"))?;
    let (stop, stopped) = oneshot::channel();
    let stop = Mutex::new(Some(stop));
    let handle = service_control_handler::register(NAME, move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            if let Some(stop) = stop.lock().ok().and_then(|mut place| place.take()) {
                let _ = stop.send(());
            }
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    })
    .context(failed)?;
    let tell = |state, accepts, code| {
        handle.set_service_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: accepts,
            exit_code: ServiceExitCode::Win32(code),
            checkpoint: 0,
            wait_hint: Duration::from_secs(20),
            process_id: None,
        })
    };
    tell(ServiceState::Running, ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN, 0)
        .context(failed)?;
    let ran = crate::command::run_agent(&home, async {
        let _ = stopped.await;
    });
    tell(ServiceState::Stopped, ServiceControlAccept::empty(), u32::from(ran.is_err())).context(failed)?;
    ran
}
